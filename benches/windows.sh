#!/usr/bin/env bash
# How long applications under write load stand still for a backup: one line with median, 99th percentile and
# longest window, in milliseconds.
#
#   benches/windows.sh DIRECTORY CONTAINERS [FILES] [ROUNDS]
#
# Each container has a volume below DIRECTORY with FILES files (default 10), of which it rewrites one after another
# without a pause, or one per second in a hundred where there are 100 and more; ROUNDS (default 100) backups are taken
# one after another. Needs root, Docker with the image lab/busybox:1 (tests/lab/up.sh), and a release build.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
place=$(realpath "${1:?usage: windows.sh DIRECTORY CONTAINERS [FILES] [ROUNDS]}")
containers=${2:?} files=${3:-10} rounds=${4:-100}
program=${PROGRAM:-$here/../target/release/stillpoint}
work=$(mktemp -d) name=windows-$$ volumes=$place/windows-$$
finish() {
    docker ps -aq --filter "label=stillpoint.app=$name" | xargs -r docker rm -f >/dev/null
    # What the snapshots were made of may be a subvolume.
    btrfs subvolume delete "$volumes" >/dev/null 2>&1 || rm -rf "$volumes"
    rm -rf "$work"
}
trap finish EXIT
btrfs subvolume create "$volumes" >/dev/null 2>&1 || mkdir "$volumes"

if [ "$files" -ge 100 ]; then share=$((files / 100)) pause=1; else share=$files pause=0.01; fi
# shellcheck disable=SC2016 # the words are for the shell in the container
writer='i=0; while :; do
    n=0; while [ $n -lt "$1" ]; do i=$(((i + 1) % $2)); n=$((n + 1)); echo $i-$n >>/volume/$i; done; sleep "$3"
done'
for number in $(seq "$containers"); do
    mkdir "$volumes/$number"
    for file in $(seq 0 $((files - 1))); do head -c 8192 /dev/urandom >"$volumes/$number/$file"; done
    docker run -d --network none --name "$name-$number" --label "stillpoint.app=$name" -v "$volumes/$number:/volume" \
        lab/busybox:1 sh -c "$writer" - "$share" "$files" "$pause" >/dev/null
done

export STILLPOINT_REPO=$work/repository STILLPOINT_STATE_DIR=$work/state STILLPOINT_KEY_FILE=$work/key
"$program" init --new-key-file "$STILLPOINT_KEY_FILE" --no-recovery-key >/dev/null
for _ in $(seq "$rounds"); do
    "$program" -q --json backup "$name"
done >"$work/reports"
grep -c '"level": "crash"' "$work/reports" | grep -qx "$rounds" || { echo "not every point is crash" >&2; exit 1; }
grep '"window_micros"' "$work/reports" | tr -dc '0-9\n' | sort -n | awk -v what="$containers containers, $files files each" '
    { window[NR] = $1 / 1000 }
    END {
        middle = int((NR + 1) / 2); late = int(NR * 0.99 + 0.5)
        printf "%s, %d rounds: median %.1f ms, 99 %% %.1f ms, longest %.1f ms\n", what, NR, window[middle], window[late], window[NR]
    }'
