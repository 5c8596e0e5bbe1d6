#!/bin/sh
# Kills and stops services and wardens at random moments of a freeze, 5,000 times or as often as is said,
# and sees that nothing stays frozen. As root. Usage: tests/kills.sh [ROUNDS]
set -eu
cd "$(dirname "$0")/.."
each=$((${1:-5000} / 3 + 1))
for what in both_killed either_killed a_stopped_service; do
    cargo test --release --locked --package consistency --test freeze -- --rounds "$each" "$what"
done
