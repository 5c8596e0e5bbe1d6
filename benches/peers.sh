#!/usr/bin/env bash
# Compares Stillpoint with other backup programs on one machine: same data, same disk, local encrypted repositories.
#
#   benches/peers.sh DIRECTORY                     everything below; results are added to DIRECTORY/results.csv
#   benches/peers.sh DIRECTORY summary             medians of what is there
#   TOOLS="stillpoint restic" SETS="small mixed db" REPS="1 2 3" benches/peers.sh DIRECTORY
#
# Needs some 50 GB in DIRECTORY, root (it drops the page cache), Debian's restic and time, and from crates.io
# rustic-rs and bupstash in PEERS/bin (cargo install --root PEERS ..); PEERS defaults to ~/peers.
#
# Sets: `small` 200,000 files, 1.8 GB; `mixed` 4 GiB in 25 files; `db` a file of 4 GiB.
# Operations: `first` into a new repository; `unchanged` again with a cold cache and `warm` with a warm one; `changed`:
# db with 1 % of its 8 KiB pages rewritten; `restore` of the newest point into an empty directory. All but `warm` begin
# with an empty page cache. Each is one process tree: wall, user and system seconds, peak memory of its largest process.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
W=$(mkdir -p "${1:?usage: peers.sh DIRECTORY [summary]}" && cd "$1" && pwd -P)
export W PEERS=${PEERS:-$HOME/peers} PROGRAM=${PROGRAM:-$here/../target/release/stillpoint}
TOOLS=${TOOLS:-stillpoint restic rustic bupstash}
SETS=${SETS:-small mixed db}
REPS=${REPS:-1 2 3}

# Each tool: run_TOOL init|backup|restore REPOSITORY PATH
run_stillpoint() { # opens with a key file: a passphrase would add a second and 256 MiB to everything
    export STILLPOINT_KEY_FILE=$W/stillpoint.key STILLPOINT_REPO=$2 STILLPOINT_STATE_DIR=$W/stillpoint.state
    case $1 in
    init) rm -rf "$STILLPOINT_KEY_FILE" "$STILLPOINT_STATE_DIR" && "$PROGRAM" init --new-key-file "$STILLPOINT_KEY_FILE" --no-recovery-key ;;
    backup) "$PROGRAM" -q backup --path "$3" ;;
    restore) "$PROGRAM" -q restore latest --to "$3" ;;
    esac
}
run_restic() {
    export RESTIC_PASSWORD=x RESTIC_CACHE_DIR=$W/restic.cache
    case $1 in
    init) rm -rf "$RESTIC_CACHE_DIR" && restic init -q -r "$2" --repository-version 2 ;;
    backup) restic backup -q -r "$2" "$3" ;;
    restore) restic restore -q -r "$2" latest --target "$3" ;;
    esac
}
run_rustic() {
    export RUSTIC_PASSWORD=x RUSTIC_CACHE_DIR=$W/rustic.cache RUSTIC_NO_PROGRESS=true
    local rustic=("$PEERS/bin/rustic" --log-level error -r "$2")
    case $1 in
    init) rm -rf "$RUSTIC_CACHE_DIR" && "${rustic[@]}" init ;;
    backup) "${rustic[@]}" backup "$3" ;;
    restore) "${rustic[@]}" restore latest "$3" ;;
    esac
}
run_bupstash() {
    export BUPSTASH_REPOSITORY=$2 BUPSTASH_KEY=$W/bupstash.key BUPSTASH_SEND_LOG=$W/bupstash.sendlog BUPSTASH_QUERY_CACHE=$W/bupstash.cache
    case $1 in
    init) rm -f "$W"/bupstash.* && "$PEERS/bin/bupstash" new-key -o "$BUPSTASH_KEY" && "$PEERS/bin/bupstash" init ;;
    backup) "$PEERS/bin/bupstash" put -q --compression zstd:3 name=bench "$3" >"$W/bupstash.id" ;;
    restore) "$PEERS/bin/bupstash" restore -q --into "$3" "id=$(cat "$W/bupstash.id")" ;;
    esac
}

data() { # data SET
    local make=(python3 "$here/data.py") place=$W/data/$1
    [ -e "$place.done" ] && return
    rm -rf "$place" && mkdir -p "$place"
    case $1 in
    small) "${make[@]}" small "$place" --files 200000 ;;
    mixed) "${make[@]}" mixed "$place" --size 4294967296 ;;
    db)
        "${make[@]}" db "$W/data/base.db" --size 4294967296 --seed 7
        cp "$W/data/base.db" "$W/data/next.db"
        "${make[@]}" mutate "$W/data/next.db" --percent 1 --seed 7
        ;;
    esac >/dev/null
    touch "$place.done"
}

# measure TOOL SET OPERATION REP REPOSITORY COMMAND.. adds one line to the results
measure() {
    local what=$1,$2,$3,$4 repository=$5 out
    shift 5
    out=$(mktemp)
    sync
    export -f run_stillpoint run_restic run_rustic run_bupstash
    if ! /usr/bin/time -o "$out" -f '%e,%U,%S,%M' bash -c '"$@"' _ "$@" >"$W/log" 2>&1; then
        echo "$what failed:" >&2 && tail -3 "$W/log" >&2 && return
    fi
    echo "$what,$(tail -1 "$out"),$(du -sb --apparent-size "$repository" | cut -f1)" | tee -a "$W/results.csv"
    rm "$out"
}
cold() { sync && echo 3 >/proc/sys/vm/drop_caches; }

round() { # round TOOL SET REP
    local tool=$1 set=$2 rep=$3 repository=$W/repository place=$W/data/$2
    rm -rf "$repository" "$W/restored"
    if [ "$set" = db ]; then ln -f "$W/data/base.db" "$place/data.db"; fi
    "run_$tool" init "$repository" >"$W/log" 2>&1
    cold && measure "$tool" "$set" first "$rep" "$repository" "run_$tool" backup "$repository" "$place"
    case $set in
    small)
        cold && measure "$tool" "$set" unchanged "$rep" "$repository" "run_$tool" backup "$repository" "$place"
        find "$place" -type f -printf '%s\n' >/dev/null
        measure "$tool" "$set" warm "$rep" "$repository" "run_$tool" backup "$repository" "$place"
        ;;
    db)
        ln -f "$W/data/next.db" "$place/data.db"
        cold && measure "$tool" "$set" changed "$rep" "$repository" "run_$tool" backup "$repository" "$place"
        ;;
    esac
    mkdir "$W/restored"
    cold && measure "$tool" "$set" restore "$rep" "$repository" "run_$tool" restore "$repository" "$W/restored"
    if [ "$rep" = 1 ]; then compare "$tool" "$set"; fi
    rm -rf "$repository"
    # ext4 looks long for an inode while many were removed in the last minutes, which the next tool would pay for.
    if [ "$set" = small ]; then mkdir -p "$W/old" && mv "$W/restored" "$W/old/$tool.$rep"; fi
}

compare() { # compare TOOL SET: the restored tree with the source, wherever the tool put it
    local name found
    name=$(find "$W/data/$2" -mindepth 1 -maxdepth 1 -printf '%f\n' -quit)
    found=$(dirname "$(find "$W/restored" -name "$name" -print -quit)")
    diff -rq "$W/data/$2" "$found" >/dev/null && echo "# $1 restored $2 equal" || echo "# $1 RESTORED $2 WRONGLY"
}

summary() {
    python3 - "$W/results.csv" <<'PY'
import csv, statistics, sys
rows = {}
for tool, what, operation, _, wall, user, system, peak, size in csv.reader(open(sys.argv[1])):
    values = (float(wall), float(user) + float(system), int(peak) / 1024, int(size) / 2**20)
    rows.setdefault((what, operation), {}).setdefault(tool, []).append(values)
tools = ["stillpoint", "restic", "rustic", "bupstash"]
print("| wall s / CPU s / peak MiB / repository MiB |", " | ".join(tools), "|")
print("| --- " * (len(tools) + 1) + "|")
for (what, operation), found in rows.items():
    cells = []
    for tool in tools:
        runs = found.get(tool)
        medians = [statistics.median(column) for column in zip(*runs)] if runs else None
        cells.append("{:.1f} / {:.1f} / {:.0f} / {:.0f}".format(*medians) if medians else "")
    print(f"| {what}, {operation} |", " | ".join(cells), "|")
PY
}

if [ "${2-}" = summary ]; then summary && exit; fi
for set in $SETS; do data "$set"; done
for rep in $REPS; do
    for set in $SETS; do
        for tool in $TOOLS; do round "$tool" "$set" "$rep"; done
    done
done
rm -rf "$W/old" "$W/restored"
summary
