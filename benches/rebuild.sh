#!/usr/bin/env bash
# Times how a catalog is rebuilt from a repository with 10,000 points of 16 volumes each.
# Usage: benches/rebuild.sh
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --release --locked
exec cargo test --release --locked -p tests --test catalog -- --ignored --nocapture --exact rebuild::ten_thousand_points
