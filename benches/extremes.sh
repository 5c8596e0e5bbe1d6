#!/usr/bin/env bash
# Backs up and restores what takes too long for the tests: a directory with a million names, and 10 GiB of zeros that
# were written. Prints wall seconds, CPU seconds and peak MiB of each. Needs some 25 GB in DIRECTORY.
# Usage: benches/extremes.sh DIRECTORY
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
W=$(mkdir -p "${1:?usage: extremes.sh DIRECTORY}" && cd "$1" && pwd -P)/extremes
program=${PROGRAM:-$here/../target/release/stillpoint}
rm -rf "$W" && mkdir "$W"
trap 'rm -rf "$W"' EXIT
export STILLPOINT_REPO=$W/repository STILLPOINT_KEY_FILE=$W/key STILLPOINT_STATE_DIR=$W/state
"$program" init --new-key-file "$STILLPOINT_KEY_FILE" --no-recovery-key >/dev/null 2>&1

measure() { # measure WHAT COMMAND..
    local what=$1
    shift
    /usr/bin/time -f "$what: %e s, %U + %S s CPU, %M KiB" "$@" >/dev/null
}
both() { # both WHAT DIRECTORY
    measure "$1, backup" "$program" -q backup --path "$2"
    measure "$1, restore" "$program" -q restore latest --app "$2" --to "$W/restored"
    diff <(cd "$2" && find . -type f -printf '%P %s\n' | sort) <(cd "$W/restored$2" && find . -type f -printf '%P %s\n' | sort)
}

mkdir "$W/names"
(cd "$W/names" && seq -f 'a file with a name of usual length %.0f' 1000000 | tr '\n' '\0' | xargs -0 -n 10000 touch)
both "a million names" "$W/names"
rm -r "$W/restored"
mkdir "$W/zeros"
dd if=/dev/zero of="$W/zeros/file" bs=1M count=10240 status=none
both "10 GiB of zeros" "$W/zeros"
cmp "$W/zeros/file" "$W/restored$W/zeros/file"
du -sh --apparent-size "$STILLPOINT_REPO"
