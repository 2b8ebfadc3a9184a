# shellcheck shell=sh
# touch_future FILE…: one from the future, of a clock that was set back since, would be newer than the service for ever.
touch_future() {
    for file; do
        [ ! -e "$file" ] || find "$file" -newermt now -exec touch {} +
    done
}
