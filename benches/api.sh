#!/usr/bin/env bash
# Has 500 clients with TLS ask the service each second for two minutes beside a backup, and says how long the
# answers take. Usage: benches/api.sh
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --release --locked
exec cargo test --release --locked -p tests --test api -- --ignored --nocapture --exact load::five_hundred_clients_beside_a_backup
