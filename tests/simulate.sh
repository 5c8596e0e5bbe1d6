#!/usr/bin/env bash
# Runs the simulation of writers, prunes, forgets and restores with many seeds, on all cores.
# Usage: tests/simulate.sh SEEDS [FIRST]
#   SEEDS  how many, such as 1000000
#   FIRST  the first of them, default 1; a seed that failed is run again with: tests/simulate.sh 1 SEED
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seeds=${1:?how many seeds? usage: tests/simulate.sh SEEDS [FIRST]}
export STILLPOINT_SEEDS=$seeds STILLPOINT_SEED=${2:-1}
exec cargo test --release --locked -p faults --test simulation -- --nocapture --exact nothing_is_lost_whatever_the_seed
