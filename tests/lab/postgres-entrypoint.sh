#!/bin/sh
# Runs PostgreSQL as its own user, and makes the cluster first if there is none.
# Usage: entrypoint postgres [OPTION..] | entrypoint COMMAND..
#   POSTGRES_PASSWORD  of the superuser over TCP, default "lab"; the unix socket asks for none
set -eu
[ "$1" = postgres ] || exec "$@"

# shellcheck disable=SC2016 # the words are for the inner shell
run() { # busybox su becomes the command, so that the signals of Docker reach PostgreSQL
    exec su postgres -c 'exec "$0" "$@"' -- "$@"
}

mkdir -p "$PGDATA"
chown postgres:postgres "$PGDATA"
chmod 700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf %s "${POSTGRES_PASSWORD:-lab}" >/tmp/password
    chown postgres /tmp/password
    (run initdb -U postgres --auth-local=trust --auth-host=scram-sha-256 \
        --pwfile=/tmp/password >/dev/null)
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
fi
run "$@" -c listen_addresses='*'
