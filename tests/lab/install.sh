#!/bin/sh
# Installs what the lab needs and this machine lacks. Debian 12, root.
# Usage: tests/lab/install.sh
set -eu
HERE=$(cd "$(dirname "$0")" && pwd -P)
. "$HERE/lab.sh"

packages=
need() { # need COMMAND PACKAGE
    case "$packages " in *" $2 "*) return ;; esac
    command -v "$1" >/dev/null || packages="$packages $2"
}

# apt COMMAND..: the timeout covers only dpkg's own lock, so the other locks (and a mirror that
# hiccups) are met by trying again.
apt() {
    tries=0
    until DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 "$@" \
        </dev/null >"$LAB/apt.log" 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" = 5 ]; then
            cat "$LAB/apt.log" >&2
            exit 1
        fi
        sleep 5
    done
}

need dockerd docker.io
need docker docker.io
need iptables iptables # Docker uses it inside each container that is on a named network
need ip iproute2
need mmdebstrap mmdebstrap
need mkfs.btrfs btrfs-progs
need mkfs.xfs xfsprogs
need mkfs.ext4 e2fsprogs
need setfacl acl
need systemd-analyze systemd
need setfattr attr
need curl curl
# A dynamic busybox would find no libraries in an image of its own.
if ! command -v busybox >/dev/null || ldd "$(command -v busybox)" >/dev/null 2>&1; then
    packages="$packages busybox-static"
fi
python3 -c 'import ensurepip' 2>/dev/null || packages="$packages python3 python3-venv"
grep -q ' cgroup2\? ' /proc/mounts || need cgroupfs-mount cgroupfs-mount

if [ -n "$packages" ]; then
    echo "installing$packages"
    apt update
    # shellcheck disable=SC2086 # one word per package
    apt install -y --no-install-recommends $packages
fi

# Unpacked, not installed: the package starts a server.
if [ ! -x "$LAB/prometheus/usr/bin/promtool" ]; then
    echo "fetching promtool"
    [ -n "$packages" ] || apt update
    mkdir -p "$LAB/prometheus"
    (cd "$LAB/prometheus" && apt download prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb)
fi

# The object store has its own place, and a mark of its version that only a whole one gets.
moto=5.2.5
if [ "$(cat "$LAB/moto/version" 2>/dev/null)" != "$moto" ]; then
    echo "installing moto $moto"
    rm -rf "$LAB/moto"
    python3 -m venv "$LAB/moto"
    "$LAB/moto/bin/pip" install -q --no-compile "moto[server,s3]==$moto" </dev/null
    echo "$moto" >"$LAB/moto/version"
fi

# So has the mail server.
aiosmtpd=1.4.6
if [ "$(cat "$LAB/mail/version" 2>/dev/null)" != "$aiosmtpd" ]; then
    echo "installing aiosmtpd $aiosmtpd"
    rm -rf "$LAB/mail"
    python3 -m venv "$LAB/mail"
    "$LAB/mail/bin/pip" install -q --no-compile "aiosmtpd==$aiosmtpd" </dev/null
    echo "$aiosmtpd" >"$LAB/mail/version"
fi

# So has the reader that is written in Python. Its versions are in a file of their own.
requirements=$HERE/../reader/requirements.txt
if ! cmp -s "$requirements" "$LAB/reader/requirements.txt"; then
    echo "installing what tests/reader needs"
    rm -rf "$LAB/reader"
    python3 -m venv "$LAB/reader"
    "$LAB/reader/bin/pip" install -q --no-compile --no-deps -r "$requirements" </dev/null
    cp "$requirements" "$LAB/reader/"
fi
