#!/bin/sh
# Runs MariaDB as its own user, and makes the system tables first if there are none.
# Usage: entrypoint mariadbd [OPTION..] | entrypoint COMMAND..
#   MARIADB_ROOT_PASSWORD  of root, default none
set -eu
[ "$1" = mariadbd ] || exec "$@"
shift

data=/var/lib/mysql
mkdir -p "$data" /run/mysqld
chown mysql:mysql "$data" /run/mysqld
options="--no-defaults --user=mysql --datadir=$data --socket=/run/mysqld/mysqld.sock"
if [ ! -d "$data/mysql" ]; then
    scripts=/usr/share/mysql
    {
        echo 'CREATE DATABASE mysql;'
        echo 'USE mysql;'
        cat "$scripts/mysql_system_tables.sql" "$scripts/mysql_performance_tables.sql" \
            "$scripts/mysql_system_tables_data.sql" "$scripts/fill_help_tables.sql"
        echo 'FLUSH PRIVILEGES;'
        echo "ALTER USER root@localhost IDENTIFIED BY '${MARIADB_ROOT_PASSWORD-}';"
    } >/tmp/system.sql
    # shellcheck disable=SC2086 # one word per option
    mariadbd $options --bootstrap --silent-startup </tmp/system.sql
    rm /tmp/system.sql
fi
# shellcheck disable=SC2086
exec mariadbd $options "$@"
