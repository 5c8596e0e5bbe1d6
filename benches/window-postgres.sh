#!/usr/bin/env bash
# How long PostgreSQL under pgbench stands still for a backup: one line with median and longest window, in
# milliseconds, and how many backups were refused.
#
#   benches/window-postgres.sh DIRECTORY [SCALE] [ROUNDS] [DEADLINE]
#
# The volume lies below DIRECTORY; SCALE 135 (the default) makes a database of 2 GiB. ROUNDS (default 20) backups are
# taken one after another while four clients write, each with a deadline of DEADLINE seconds (default 10). Needs root, Docker with the
# image lab/postgres:15 (tests/lab/up.sh), and a release build.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
place=$(realpath "${1:?usage: window-postgres.sh DIRECTORY [SCALE] [ROUNDS] [DEADLINE]}")
scale=${2:-135} rounds=${3:-20} deadline=${4:-10}
program=${PROGRAM:-$here/../target/release/stillpoint}
work=$(mktemp -d) name=postgres-$$ volume=$place/postgres-$$
finish() {
    docker rm -f "$name" >/dev/null 2>&1 || true
    rm -rf "$volume" "$work"
}
trap finish EXIT
mkdir "$volume"
docker run -d --network none --name "$name" --label "stillpoint.app=$name" -v "$volume:/var/lib/postgresql/data" \
    lab/postgres:15 >/dev/null
inside() { docker exec "$name" sh -c "$1"; }
until inside "psql -U postgres -c 'select 1'" >/dev/null 2>&1; do sleep 0.2; done
inside "pgbench -U postgres --initialize --scale=$scale --quiet postgres" >/dev/null 2>&1
docker exec -d "$name" sh -c "pgbench -U postgres --client=4 --time=36000 postgres >/dev/null 2>&1"

export STILLPOINT_REPO=$work/repository STILLPOINT_STATE_DIR=$work/state STILLPOINT_CACHE_DIR=$work/cache
export STILLPOINT_KEY_FILE=$work/key
"$program" init --new-key-file "$STILLPOINT_KEY_FILE" --no-recovery-key >/dev/null
refused=0
for _ in $(seq "$rounds"); do
    "$program" -q --json backup --deadline "$deadline" "$name" >>"$work/reports" 2>>"$work/errors" || refused=$((refused + 1))
done
du -sh "$volume" | cut -f1 | sed 's/$/ of files/'
cat "$work/errors" >&2
grep '"window_micros"' "$work/reports" | tr -dc '0-9\n' | sort -n | awk -v refused="$refused" '
    { window[NR] = $1 / 1000 }
    END { printf "%d rounds: median %.0f ms, longest %.0f ms; refused %d\n", NR, window[int((NR + 1) / 2)], window[NR], refused }'
