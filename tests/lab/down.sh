#!/bin/sh
# Stops what up.sh started, and nothing else. What it cannot stop it reports, and goes on: the
# caller has its own result to deliver.
# Usage: tests/lab/down.sh
set -u
HERE=$(cd "$(dirname "$0")" && pwd -P)
. "$HERE/lab.sh"

# A frozen filesystem blocks whoever touches it, containers included, so it is thawed first.
for name in btrfs xfs small; do fsfreeze --unfreeze "$LAB/$name" 2>/dev/null; done
"$HERE/docker.sh" down
"$HERE/s3.sh" down
"$HERE/filesystems.sh" down
rm -f "$LAB/env"
exit 0
