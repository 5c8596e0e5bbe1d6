# Has Redis or Valkey save what is only in its memory, and lets nobody write meanwhile. Says "held",
# waits until its input ends, and fails if something was written all the same.
set -eu
client=$(command -v valkey-cli || command -v redis-cli)
if [ -z "${REDISCLI_AUTH-}" ] && [ -n "${REDIS_PASSWORD-}" ]; then
    export REDISCLI_AUTH="$REDIS_PASSWORD"
fi
field() { "$client" info persistence | tr -d '\r' | sed -n "s/^$1://p"; }
# The client ends well whatever the server answers.
order() {
    answer=$("$client" "$@")
    case $answer in OK | Background*) ;; *) echo "$answer" >&2 && return 1 ;; esac
}

case $(field aof_enabled) in
1) # What is acknowledged was written to the file before.
    echo held
    cat >/dev/null
    exit
    ;;
0) ;;
*) echo "the server does not answer: $("$client" ping 2>&1)" >&2 && exit 1 ;;
esac
# It ends by itself when nobody comes back.
order client pause 90000 write
trap '"$client" client unpause >/dev/null' EXIT
begun=no
while [ "$(field rdb_bgsave_in_progress)" = 1 ] || [ "$(field rdb_changes_since_last_save)" != 0 ]; do
    if [ "$(field rdb_bgsave_in_progress)" = 0 ]; then
        if [ "$begun" = yes ] && [ "$(field rdb_last_bgsave_status)" != ok ]; then
            echo "the server cannot save" >&2 && exit 1
        fi
        order bgsave
        begun=yes
    fi
    sleep 0.05
done
echo held
cat >/dev/null
changes=$(field rdb_changes_since_last_save)
if [ "$changes" != 0 ]; then
    echo "$changes changes were made meanwhile" >&2 && exit 1
fi
