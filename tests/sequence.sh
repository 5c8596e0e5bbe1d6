#!/usr/bin/env bash
# Backs up applications whose volumes must agree, of 2, 10 and 50 containers on btrfs, XFS, ext4 and
# with copies, and of 3 that the engine pauses, 200 times each or as often as is said; prints how long each freeze lasted. As root. Usage: tests/sequence.sh [ROUNDS]
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export STILLPOINT_ROUNDS=${1:-200}
tests/lab/up.sh
# shellcheck disable=SC1091
. target/lab/env
cargo build --release --locked
cargo test --release --locked --package tests --features lab --test sequence -- --nocapture --test-threads 1 agree_in_every_point
