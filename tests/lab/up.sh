#!/bin/sh
# Starts what the tests need and is not running yet, and writes its addresses to LAB/env.
# Usage: tests/lab/up.sh && . target/lab/env
set -eu
HERE=$(cd "$(dirname "$0")" && pwd -P)
. "$HERE/lab.sh"

"$HERE/filesystems.sh" up
"$HERE/s3.sh" up
"$HERE/docker.sh" up
DOCKER_HOST=unix://$SOCKETS/docker.sock "$HERE/images.sh"
DOCKER_HOST=unix://$SOCKETS/v2/docker.sock "$HERE/images.sh"

cat >"$LAB/env" <<END
export STILLPOINT_LAB='$LAB'
export STILLPOINT_LAB_BTRFS='$LAB/btrfs'
export STILLPOINT_LAB_XFS='$LAB/xfs'
export STILLPOINT_LAB_SMALL='$LAB/small'
export STILLPOINT_LAB_PYTHON='$LAB/reader/bin/python'
export STILLPOINT_LAB_PROMTOOL='$LAB/prometheus/usr/bin/promtool'
export STILLPOINT_LAB_MAIL='$LAB/mail/bin/python'
export STILLPOINT_LAB_S3='$(cat "$LAB/run/s3")'
export STILLPOINT_LAB_DOCKER_V2='unix://$SOCKETS/v2/docker.sock'
export DOCKER_HOST='unix://$SOCKETS/docker.sock'
END
