# Holds the global read lock of MySQL or MariaDB in one session. Says "held", waits until its input
# ends, and fails if the session, and so the lock, was lost meanwhile.
set -eu
client=$(command -v mariadb || command -v mysql)
password=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD-}}
for file in "${MARIADB_ROOT_PASSWORD_FILE-}" "${MYSQL_ROOT_PASSWORD_FILE-}"; do
    if [ -z "$password" ] && [ -r "$file" ]; then password=$(cat "$file"); fi
done
if [ -n "$password" ]; then export MYSQL_PWD="$password"; fi
{
    # Behind a long query the lock would wait, and all writers behind the lock.
    echo "SET SESSION lock_wait_timeout = 10;"
    # The server lets go by itself when nobody comes back.
    echo "SET SESSION wait_timeout = 120;"
    echo "FLUSH TABLES WITH READ LOCK;"
    echo "SELECT 'held';"
    cat >/dev/null
    echo "SELECT 'kept';"
    echo "UNLOCK TABLES;"
} | "$client" --user=root --batch --skip-column-names --unbuffered --skip-reconnect
