# Has Redis or Valkey store what is only in its memory, and lets nobody write meanwhile. Says "held",
# waits until its input ends, and fails if something was written or saved all the same.
set -eu
client=$(command -v valkey-cli || command -v redis-cli) || { echo "there is no client" >&2 && exit 1; }
if [ -z "${REDISCLI_AUTH-}" ] && [ -n "${REDIS_PASSWORD-}" ]; then
    export REDISCLI_AUTH="$REDIS_PASSWORD"
fi
fail() { echo "$1" >&2 && exit 1; }
field() { "$client" info persistence | tr -d '\r' | sed -n "s/^$1://p"; }
# The client ends well whatever the server answers.
order() {
    answer=$("$client" "$@")
    case $answer in OK | Background*) ;; *) fail "$answer" ;; esac
}
# What was written since, and when it was saved.
saved() { echo "$(field rdb_changes_since_last_save) $(field rdb_last_save_time)"; }

in_file=$(field aof_enabled)
[ -n "$in_file" ] || fail "the server does not answer: $("$client" ping 2>&1)"
if [ "$in_file" = 0 ] && [ "$(field rdb_last_bgsave_time_sec)" -gt 15 ]; then
    fail "the last save took $(field rdb_last_bgsave_time_sec) s: too long for writers to wait"
fi
if [ "$in_file" = 1 ] && [ "$(field aof_rewrite_in_progress)$(field aof_rewrite_scheduled)" != 00 ]; then
    # It may be the first one, before which there is nothing.
    fail "the server rewrites its file"
fi
trap '"$client" client unpause >/dev/null' EXIT
trap 'exit 143' TERM INT HUP
# The pauses end by themselves when nobody comes back.
order client pause 20000 write
if [ "$in_file" = 1 ]; then
    # What is acknowledged may still wait for a slow disk.
    while [ "$(field aof_buffer_length)" != 0 ] || [ "$(field aof_pending_bio_fsync)" != 0 ]; do
        sleep 0.05
    done
    [ "$(field aof_last_write_status)" = ok ] || fail "the server cannot write its file"
else
    begun=no
    while :; do
        if [ "$(field rdb_bgsave_in_progress)" = 0 ]; then
            [ "$(field rdb_changes_since_last_save)" != 0 ] || break
            [ "$begun" = no ] || fail "the server cannot save, or takes too long"
            order bgsave
            begun=yes
        fi
        sleep 0.05
    done
fi
order client pause 75000 write
before=$(saved)
case $in_file,$before in 1,* | 0,"0 "*) ;; *) fail "something was written meanwhile" ;; esac
echo held
cat >/dev/null
# A file is written by itself, and saved now and then.
[ "$in_file" = 1 ] || [ "$(saved)" = "$before" ] || fail "something was written meanwhile"
