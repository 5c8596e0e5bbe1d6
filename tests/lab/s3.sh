#!/bin/sh
# An S3 server on a free port of the loopback, in memory, with the bucket "stillpoint". It checks no
# credentials. Its address is in LAB/run/s3.
# Usage: tests/lab/s3.sh up | down
set -eu
HERE=$(cd "$(dirname "$0")" && pwd -P)
. "$HERE/lab.sh"

# The server takes the port itself and says which: a port found for it could be lost meanwhile.
find_address() {
    running moto_server && grep -o 'http://127\.0\.0\.1:[0-9]*' "$LAB/moto_server.log"
}

case $1 in
up)
    if running moto_server && [ -s "$LAB/run/s3" ]; then exit; fi
    start moto_server "$LAB/moto/bin/python" "$LAB/moto/bin/moto_server" --host 127.0.0.1 --port 0
    await 60 find_address || explain moto_server
    address=$(find_address)
    curl -fsS --noproxy '*' -o /dev/null -X PUT "$address/stillpoint"
    echo "$address" >"$LAB/run/s3"
    ;;
down)
    stop moto_server
    rm -f "$LAB/run/s3"
    ;;
esac
