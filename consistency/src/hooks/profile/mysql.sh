# Opens the one session of MySQL or MariaDB in which the global read lock is held. It ends at the first error.
set -eu
client=$(command -v mariadb || command -v mysql) || { echo "there is no client" >&2 && exit 1; }
password=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD-}}
for file in "${MARIADB_ROOT_PASSWORD_FILE-}" "${MYSQL_ROOT_PASSWORD_FILE-}"; do
    if [ -z "$password" ] && [ -r "$file" ]; then password=$(cat "$file"); fi
done
if [ -n "$password" ]; then export MYSQL_PWD="$password"; fi
exec "$client" --user=root --batch --skip-column-names --unbuffered --skip-reconnect
