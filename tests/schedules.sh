#!/usr/bin/env bash
# Compares every run of 5,016 random schedules in 24 zones over ten years with somebody who looks at the clock each
# minute, and says how many runs that were, and how long it took. Usage: tests/schedules.sh
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo test --release --locked --package scheduler --lib --no-run
time cargo test --release --locked --package scheduler --lib -- --ignored --nocapture --exact \
    tests::oracle::the_engine_runs_whenever_a_clock_says_so_for_ten_years
