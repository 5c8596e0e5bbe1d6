#!/usr/bin/env bash
# Kills the service at random moments of its runs, 500 times or as often as is said, and sees that each run is
# made once and nothing stays frozen. As root. Usage: tests/serve-kills.sh [ROUNDS]
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export STILLPOINT_ROUNDS=${1:-500}
tests/lab/up.sh
# shellcheck disable=SC1091
. target/lab/env
cargo build --release --locked
cargo test --release --locked --package tests --features lab --test serve -- --nocapture --exact process::a_service_that_is_killed_loses_no_run_and_does_none_twice
