# shellcheck shell=sh disable=SC2034
# The lab's directory and the processes that belong to it; sourced by its other scripts.
# Sets LAB, absolute, from STILLPOINT_LAB (default: target/lab in this repository).
# Needs HERE, the directory of these scripts.

PATH=$PATH:/usr/sbin:/sbin # a plain login shell of root may lack them, and mkfs lives there

if [ "$(id -u)" != 0 ]; then
    echo "error: the lab mounts filesystems and starts containers; run it as root" >&2
    exit 1
fi

LAB=${STILLPOINT_LAB:-$HERE/../../target/lab}
mkdir -p "$LAB/run"
LAB=$(cd "$LAB" && pwd -P)

# Sockets live outside LAB, whose path may be longer than the 107 bytes a socket address holds.
# The name follows from LAB, so that DOCKER_HOST survives a restart of the lab.
SOCKETS=/run/stillpoint-$(printf %s "$LAB" | cksum | cut -d' ' -f1)

# start PROGRAM COMMAND..: runs COMMAND beyond the reach of the terminal's signals, and records it.
start() {
    program=$1
    shift
    setsid "$@" >"$LAB/$program.log" 2>&1 </dev/null &
    echo $! >"$LAB/run/$program.pid"
}

# running PROGRAM: whether the recorded process is still that program of this lab. A number alone
# proves nothing: after a reboot it may be anyone's.
running() {
    [ -s "$LAB/run/$1.pid" ] || return 1
    tr '\0' ' ' 2>/dev/null <"/proc/$(cat "$LAB/run/$1.pid")/cmdline" |
        grep -F "$LAB/" | grep -qF "$1"
}

# await SECONDS COMMAND..: repeats COMMAND until it succeeds or the time is over.
await() {
    tries=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

stopped() { ! running "$1"; }

# stop PROGRAM: asks it to end, then ends it.
stop() {
    if running "$1"; then
        pid=$(cat "$LAB/run/$1.pid")
        kill "$pid" || true
        await 15 stopped "$1" || kill -9 "$pid" || true
    fi
    rm -f "$LAB/run/$1.pid"
}

# explain PROGRAM: shows why it did not start.
explain() {
    echo "error: $1 did not start; its log ends with:" >&2
    tail -n 20 "$LAB/$1.log" >&2
    exit 1
}
