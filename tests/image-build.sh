#!/usr/bin/env bash
# Builds the image of the service from this workspace, as deploy/Containerfile says, and starts it. There is no
# registry of images: the base is the lab's, and the image with the toolchain is made of this machine's. As root;
# needs 5 GB. Usage: tests/image-build.sh
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tests/lab/up.sh
# shellcheck disable=SC1091
. target/lab/env
cargo fetch --locked
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
# shellcheck disable=SC2016 # the names are apt's
mirror=${MIRROR:-$(
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "bookworm" { print $2; exit }'
)}
mmdebstrap --quiet --mode=root --variant=extract --include=binutils,gcc,libc6-dev bookworm "$root" "$mirror" </dev/null
mkdir -p "$root/bin" "$root/tmp" "$root/usr/local/cargo/registry"
chmod 1777 "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
ln -sf busybox "$root/bin/sh"
ln -sf gcc "$root/usr/bin/cc" # no package is configured here
cp -a "$(rustc --print sysroot)"/{bin,lib,libexec} "$root/usr/local/"
cp -a "${CARGO_HOME:-$HOME/.cargo}"/registry/{cache,index} "$root/usr/local/cargo/registry/"
tar -C "$root" --numeric-owner --exclude='./dev/*' -c . |
    docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change 'ENV CARGO_HOME=/usr/local/cargo' \
        --change 'ENV CARGO_NET_OFFLINE=true' - lab/rust:1 >/dev/null
export DOCKER_BUILDKIT=0
docker build --network none --build-arg RUST_IMAGE=lab/rust:1 --build-arg BASE_IMAGE=lab/debian:12 \
    --file deploy/Containerfile --tag lab/stillpoint:built .
docker image inspect --format 'the image has {{.Size}} bytes' lab/stillpoint:built
docker run --rm --network none lab/stillpoint:built --version
