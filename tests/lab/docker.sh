#!/bin/sh
# Docker daemons of the lab's own. They share nothing with another daemon of this host: neither
# data, sockets, configuration, firewall rules nor the bridge. The second one sees cgroups of version 2
# only, whatever the host has.
# Usage: tests/lab/docker.sh up | down
set -eu
HERE=$(cd "$(dirname "$0")" && pwd -P)
. "$HERE/lab.sh"
FIRST=unix://$SOCKETS/docker.sock
SECOND=unix://$SOCKETS/v2/docker.sock

answers() { docker --host "$1" version; }

up() {
    if running dockerd && answers "$FIRST" >/dev/null 2>&1 &&
        running dockerd-v2 && answers "$SECOND" >/dev/null 2>&1; then return; fi
    down # what a lab that was killed may have left
    grep -q ' cgroup2\? ' /proc/mounts || cgroupfs-mount
    mkdir -p "$LAB/docker" "$LAB/dockerd-v2" "$SOCKETS/v2"
    for data in docker dockerd-v2; do
        echo '{}' >"$LAB/$data/daemon.json" # the host's configuration is not ours
    done

    # The containers need each other and nobody else, so the bridge works without the firewall.
    isolation='' network='--iptables=false --ip-masq=false'
    if ! unshare -n ip link add probe type bridge 2>/dev/null; then
        network="$network --bridge none"
        isolation='unshare -n' # on its way to "none" the daemon would delete a bridge it finds
    elif [ -e /sys/class/net/docker0 ]; then
        isolation='unshare -n' # that bridge is another daemon's
    else
        cat /proc/sys/net/ipv4/ip_forward >"$LAB/run/docker0" # the daemon changes it
    fi
    # shellcheck disable=SC2086 # words, or nothing
    start dockerd $isolation dockerd --config-file "$LAB/docker/daemon.json" \
        --data-root "$LAB/docker/data" --exec-root "$SOCKETS" --pidfile "$SOCKETS/docker.pid" \
        --host "$FIRST" --exec-opt native.cgroupdriver=cgroupfs \
        --containerd-namespace stillpoint --containerd-plugins-namespace stillpoint-plugins $network
    # In a network of its own: on its way to "none" it would delete the bridge of the first.
    # shellcheck disable=SC2016 # for the shell inside
    start dockerd-v2 unshare -m -n sh -ec '
        mount --make-rprivate /
        umount -l /sys/fs/cgroup
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        exec dockerd "$@"' sh --config-file "$LAB/dockerd-v2/daemon.json" \
        --data-root "$LAB/dockerd-v2/data" --exec-root "$SOCKETS/v2" --pidfile "$SOCKETS/v2/docker.pid" \
        --host "$SECOND" --exec-opt native.cgroupdriver=cgroupfs --iptables=false --bridge none \
        --containerd-namespace stillpoint-v2 --containerd-plugins-namespace stillpoint-v2-plugins
    await 60 answers "$FIRST" || explain dockerd
    await 60 answers "$SECOND" || explain dockerd-v2
    remove_containers >/dev/null # a daemon that was killed forgets none
}

# Signals do not reach a frozen container, and a test that died may have left one.
thaw() {
    for id in $(docker ps -q --no-trunc); do
        find /sys/fs/cgroup -type d -name "$id" | while read -r group; do
            # The group above it is the application's, which may be frozen as a whole.
            for frozen in "$group/.." "$group"; do
                [ ! -e "$frozen/freezer.state" ] || echo THAWED >"$frozen/freezer.state"
                [ ! -e "$frozen/cgroup.freeze" ] || echo 0 >"$frozen/cgroup.freeze"
            done
        done
    done
}

remove_containers() {
    for DOCKER_HOST in "$FIRST" "$SECOND"; do
        export DOCKER_HOST
        thaw || true
        docker ps -aq | xargs -r timeout 60 docker rm -f -v
        docker volume ls -q | xargs -r timeout 60 docker volume rm -f
        timeout 60 docker network prune -f # their bridges would outlive the daemon
    done
}

# A daemon that was killed leaves containerd, its shims and their containers.
kill_orphans() {
    for process in /proc/[0-9]*; do
        case $(cat "$process/comm" 2>/dev/null) in containerd*) ;; *) continue ;; esac
        grep -qsF "$SOCKETS/" "$process/cmdline" || continue
        # shellcheck disable=SC2046 # one word per process
        kill -9 "${process#/proc/}" $(cat "$process/task/${process#/proc/}/children") || true
    done
}

down() {
    if running dockerd || running dockerd-v2; then remove_containers >/dev/null || true; fi
    stop dockerd-v2
    stop dockerd
    kill_orphans
    awk -v data="$LAB/docker" -v sockets="$SOCKETS/" \
        'index($2, data) == 1 || index($2, sockets) == 1 { print $2 }' /proc/mounts |
        sort -r | xargs -r umount -l || true
    if [ -e "$LAB/run/docker0" ]; then
        ip link delete docker0 2>/dev/null || true
        cat "$LAB/run/docker0" >/proc/sys/net/ipv4/ip_forward
        rm "$LAB/run/docker0"
    fi
    rm -rf "$SOCKETS"
}

case $1 in
up) up ;;
down) down ;;
esac
