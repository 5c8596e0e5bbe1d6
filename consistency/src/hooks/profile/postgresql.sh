# Has PostgreSQL write out what it changed in memory, so that it recovers quickly after a restore.
set -eu
if [ -z "${PGPASSWORD-}" ] && [ -r "${POSTGRES_PASSWORD_FILE-}" ]; then
    PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
fi
export PGPASSWORD="${PGPASSWORD:-${POSTGRES_PASSWORD:-${POSTGRESQL_PASSWORD-}}}"
export PGUSER="${PGUSER:-${POSTGRES_USER:-${POSTGRESQL_USERNAME:-postgres}}}"
export PGDATABASE="${PGDATABASE:-postgres}" PGCONNECT_TIMEOUT=10
exec psql --no-psqlrc --no-password --quiet --set ON_ERROR_STOP=1 --command CHECKPOINT
