#!/usr/bin/env bash
# What a kept snapshot saves the next backup: a file of which 1 % is rewritten, in pages of 8 KiB in AREAS places, backed
# up with --keep-local and without, in turn; prints milliseconds and MiB read of each, and the median of the ratios.
#
#   benches/base.sh DIRECTORY [AREAS] [MIB] [ROUNDS]
#
# The volume lies below DIRECTORY, on btrfs or XFS; AREAS is 8 by default, the file has MIB (default 2048). The page cache
# is dropped before each of the ROUNDS (default 5) pairs and in them.
# Needs root, Docker with the image lab/busybox:1 (tests/lab/up.sh), and a release build.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
place=$(realpath "${1:?usage: base.sh DIRECTORY [AREAS] [MIB] [ROUNDS]}")
areas=${2:-8} size=${3:-2048} rounds=${4:-5}
program=${PROGRAM:-$here/../target/release/stillpoint}
work=$(mktemp -d) name=base-$$ volume=$place/base-$$
finish() {
    docker rm -f "$name" >/dev/null 2>&1 || true
    "$program" --json points --local --app "$name" | grep -o '"id": *"[0-9a-f]*"' | cut -d'"' -f4 |
        xargs -r "$program" -q forget --local >/dev/null || true
    btrfs subvolume delete "$volume" >/dev/null 2>&1 || rm -rf "$volume"
    rm -rf "$work"
}
trap finish EXIT
btrfs subvolume create "$volume" >/dev/null 2>&1 || mkdir "$volume"
head -c "${size}M" /dev/urandom >"$volume/file"
docker run -d --network none --name "$name" --label "stillpoint.app=$name" -v "$volume:/volume" \
    lab/busybox:1 sleep 99999 >/dev/null

export STILLPOINT_KEY_FILE=$work/key STILLPOINT_STATE_DIR=$work/state STILLPOINT_REPO=$work/repository
"$program" init --new-key-file "$STILLPOINT_KEY_FILE" --no-recovery-key >/dev/null
rewrite() {
    python3 - "$volume/file" "$areas" <<'PYTHON'
import os, random, sys
file, areas = os.open(sys.argv[1], os.O_WRONLY), int(sys.argv[2])
pages = os.fstat(file).st_size // 8192
for area in range(areas):
    first = random.randrange(pages - pages // 100 // areas)
    for page in range(first, first + max(1, pages // 100 // areas)):
        os.pwrite(file, os.urandom(8192), page * 8192)
os.fsync(file)
PYTHON
}
backup() { # backup [OPTION].. prints seconds and bytes read
    rewrite
    sync
    echo 3 >/proc/sys/vm/drop_caches
    begin=$(date +%s%N)
    "$program" -q --json backup "$name" "$@" >"$work/report"
    end=$(date +%s%N)
    read=$(grep -o '"read": *[0-9]*' "$work/report" | tr -dc 0-9)
    echo "$(((end - begin) / 1000000)) $((read >> 20))"
}
backup --keep-local 1 >/dev/null
for _ in $(seq "$rounds"); do
    # The one after a backup that kept nothing has to read everything, and keeps a base for the next.
    kept=$(backup --keep-local 1)
    backup >/dev/null
    whole=$(backup --keep-local 1)
    echo "$kept $whole"
done | tee "$work/rounds" | awk '{ printf "base kept: %d ms, %d MiB read; without: %d ms, %d MiB read\n", $1, $2, $3, $4 }'
awk '{ print $1 / $3 }' "$work/rounds" | sort -n | awk '{ ratio[NR] = $1 } END { printf "median of %d ratios: %.2f of the time\n", NR, ratio[int((NR + 1) / 2)] }'
