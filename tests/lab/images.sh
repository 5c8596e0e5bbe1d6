#!/bin/sh
# The images of the tests, made from Debian packages: lab/busybox:1, lab/mariadb:10, lab/postgres:15,
# lab/redis:7, and lab/debian:12, on which the image of the service is tried.
# Needs DOCKER_HOST. An image is kept in LAB/images, too, until its recipe changes.
# Usage: tests/lab/images.sh
#   MIRROR  a Debian archive; default: the one this machine installs from
set -eu
HERE=$(cd "$(dirname "$0")" && pwd -P)
. "$HERE/lab.sh"
SUITE=bookworm # it has MariaDB 10, PostgreSQL 15 and Redis 7
RECIPE=$(cat "$HERE/images.sh" "$HERE"/*-entrypoint.sh | cksum | cut -d' ' -f1)
SYSTEM_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# unpack PACKAGE..: into ROOT, with what they depend on. Only files: nothing is configured and
# no service starts, which takes a fifth of the time of a working system.
unpack() {
    # shellcheck disable=SC2016 # the names are apt's
    mirror=${MIRROR:-$(
        apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
            awk -v suite="$SUITE" '$1 == suite { print $2; exit }'
    )}
    if [ -z "$mirror" ]; then
        echo "error: this machine has no Debian $SUITE archive; name one in MIRROR" >&2
        exit 1
    fi
    mmdebstrap --quiet --mode=root --variant=extract --include="$*" \
        "$SUITE" "$ROOT" "$mirror" </dev/null
}

# furnish: gives ROOT a shell, the users of the services and the usual directories.
furnish() {
    for directory in bin dev etc proc run sys tmp var; do mkdir -p "$ROOT/$directory"; done
    chmod 1777 "$ROOT/tmp"
    [ -e "$ROOT/var/run" ] || ln -s ../run "$ROOT/var/run"
    cp "$(command -v busybox)" "$ROOT/bin/busybox"
    for applet in $(busybox --list); do
        [ -e "$ROOT/bin/$applet" ] || ln -sf busybox "$ROOT/bin/$applet"
    done
    printf '%s\n' 'root:x:0:0::/root:/bin/sh' 'redis:x:998:998::/data:/bin/sh' \
        'mysql:x:997:997::/var/lib/mysql:/bin/sh' \
        'postgres:x:999:999::/var/lib/postgresql:/bin/sh' 'nobody:x:65534:65534::/:/bin/sh' \
        >"$ROOT/etc/passwd"
    printf '%s\n' root:x:0: mysql:x:997: redis:x:998: postgres:x:999: nogroup:x:65534: >"$ROOT/etc/group"
}

# seal IMAGE CHANGE..: makes the image from ROOT, without what no test reads.
seal() {
    image=$1
    shift
    tar -C "$ROOT" --numeric-owner -c \
        --exclude='./dev/*' --exclude='./lib/systemd' \
        --exclude='./var/cache/*' --exclude='./var/lib/apt/*' \
        --exclude='./usr/share/doc' --exclude='./usr/share/i18n' \
        --exclude='./usr/share/locale' --exclude='./usr/share/man' \
        --exclude='perl*' --exclude='libLLVM*' --exclude='libz3.so*' \
        --exclude='llvmjit*' --exclude='bitcode' . |
        docker import --change "LABEL recipe=$RECIPE" "$@" - "$image" >/dev/null
}

busybox_image() {
    furnish
    seal "$1" --change "ENV PATH=$SYSTEM_PATH" --change 'CMD ["sh"]'
}

postgres_image() {
    unpack postgresql-15
    furnish
    ln -s /usr/share/zoneinfo/Etc/UTC "$ROOT/etc/localtime" # the list of time zones refers to it
    mkdir -p "$ROOT/var/lib/postgresql/data" "$ROOT/run/postgresql"
    chown -R 999:999 "$ROOT/var/lib/postgresql" "$ROOT/run/postgresql"
    install -m 755 "$HERE/postgres-entrypoint.sh" "$ROOT/entrypoint"
    seal "$1" --change "ENV PATH=/usr/lib/postgresql/15/bin:$SYSTEM_PATH" \
        --change 'ENV LC_ALL=C.UTF-8' --change 'ENV PGDATA=/var/lib/postgresql/data' \
        --change 'VOLUME /var/lib/postgresql/data' --change 'EXPOSE 5432' \
        --change 'ENTRYPOINT ["/entrypoint"]' --change 'CMD ["postgres"]'
}

mariadb_image() {
    unpack mariadb-server
    furnish
    rm -rf "$ROOT/etc/mysql" # Debian's own settings are for its services
    mkdir -p "$ROOT/etc/mysql" "$ROOT/var/lib/mysql" "$ROOT/run/mysqld"
    chown -R 997:997 "$ROOT/var/lib/mysql" "$ROOT/run/mysqld"
    install -m 755 "$HERE/mariadb-entrypoint.sh" "$ROOT/entrypoint"
    seal "$1" --change "ENV PATH=$SYSTEM_PATH" --change 'VOLUME /var/lib/mysql' \
        --change 'EXPOSE 3306' --change 'ENTRYPOINT ["/entrypoint"]' --change 'CMD ["mariadbd"]'
}

redis_image() {
    unpack redis-server
    furnish
    mkdir -p "$ROOT/data"
    seal "$1" --change "ENV PATH=$SYSTEM_PATH" \
        --change 'WORKDIR /data' --change 'VOLUME /data' --change 'EXPOSE 6379' \
        --change 'CMD ["redis-server", "--appendonly", "yes", "--protected-mode", "no"]'
}

debian_image() {
    unpack ca-certificates libc6 libgcc-s1 tzdata
    furnish
    # No package is configured here.
    cat "$ROOT"/usr/share/ca-certificates/mozilla/*.crt >"$ROOT/etc/ssl/certs/ca-certificates.crt"
    seal "$1" --change "ENV PATH=$SYSTEM_PATH" --change 'CMD ["sh"]'
}

# provide NAME TAG: the image is here already, or was once and is loaded, or is made now.
provide() {
    format='{{.Config.Labels.recipe}}'
    made=$(docker image inspect --format "$format" "lab/$1:$2" 2>/dev/null) || made=
    [ "$made" != "$RECIPE" ] || return 0
    archive=$LAB/images/$1-$RECIPE.tar
    if [ -e "$archive" ]; then
        docker load --quiet --input "$archive" >/dev/null
        return
    fi
    echo "making lab/$1:$2"
    ROOT=$WORK/$1
    mkdir "$ROOT"
    "$1_image" "lab/$1:$2"
    rm -rf "$ROOT" "$LAB/images/$1"-*.tar
    docker save --output "$archive.part" "lab/$1:$2"
    mv "$archive.part" "$archive" # a torn archive must not pass for a whole one
}

mkdir -p "$LAB/images"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
chmod 755 "$WORK" # apt downloads as a user of its own
provide busybox 1
provide debian 12
provide mariadb 10
provide postgres 15
provide redis 7
