#!/bin/sh
# The filesystems the tests snapshot and fill: btrfs and xfs with reflinks (6 GiB each), and a
# small ext4 (64 MiB). Each is a sparse file on a loop device, new every time.
# Usage: tests/lab/filesystems.sh up | down
set -eu
HERE=$(cd "$(dirname "$0")" && pwd -P)
. "$HERE/lab.sh"

btrfs() { mkfs.btrfs -q "$1" >/dev/null; }
xfs() { mkfs.xfs -q -m reflink=1 "$1"; }
# No blocks reserved for root: the tests are root, and for them the disk must be full, too.
small() { mkfs.ext4 -q -F -m 0 "$1"; }

# provide NAME SIZE: makes the filesystem NAME and mounts it.
provide() {
    ! mountpoint -q "$LAB/$1" || return 0
    mkdir -p "$LAB/$1"
    rm -f "$LAB/$1.img"
    truncate -s "$2" "$LAB/$1.img"
    "$1" "$LAB/$1.img"
    mount -o loop "$LAB/$1.img" "$LAB/$1"
}

# remove NAME: unmounts it with all that is mounted inside; the loop device goes with it.
remove() {
    if mountpoint -q "$LAB/$1"; then
        fsfreeze --unfreeze "$LAB/$1" 2>/dev/null || true # a test that died may have left it frozen
        if ! umount -R "$LAB/$1"; then
            echo "warning: $LAB/$1 is still in use; it goes with its last user" >&2
            umount -R -l "$LAB/$1"
        fi
    fi
    rm -f "$LAB/$1.img"
}

case $1 in
up)
    provide btrfs 6G
    provide xfs 6G
    provide small 64M
    ;;
down)
    for name in btrfs xfs small; do remove "$name"; done
    ;;
esac
