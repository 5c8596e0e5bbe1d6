#!/bin/sh
# Spoils the input of every parser for longer than the tests do.
# Usage: tests/fuzz/long.sh SECONDS [NAME OF A TARGET]..
#   STILLPOINT_FUZZ_SEED  a seed that a failure has printed, to see it again
set -eu
cd "$(dirname "$0")/../.."
STILLPOINT_FUZZ_SECONDS=${1:?usage: tests/fuzz/long.sh SECONDS [NAME OF A TARGET]..}
export STILLPOINT_FUZZ_SECONDS
shift
exec cargo test --release --locked -p tests --test fuzz -- --nocapture --test-threads=1 "$@"
