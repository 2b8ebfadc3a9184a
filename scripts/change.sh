# shellcheck shell=sh disable=SC2154  # $program and $payload are set by kubefab/host.py, in front of this text
# Makes one change so that it survives its caller: should the connection be lost, it runs on to its end,
# and /run/kubefab/change, locked for as long, tells the next run that it does.
# usage: change.sh TITLE ARG…    $program: the script's text; $payload: its standard input, in base64
main() {
    set -eu
    export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    umask 022
    [ -d /run/kubefab ] || mkdir -m 0700 /run/kubefab
    exec 9>>/run/kubefab/change
    # A look that tries the lock has it for a moment.
    if ! flock -w 2 9; then
        echo "another change is under way here: $(cat /run/kubefab/change)"
        exit 75
    fi
    echo "$(date +%s) $1" >/run/kubefab/change
    shift
    # All of its input is there before it starts: a pipe would break off with the caller, and leave it a part.
    (umask 077 && printf '%s' "$payload" | base64 -d >/run/kubefab/payload)
    exec 8</run/kubefab/payload
    rm /run/kubefab/payload
    setsid -w sh -c "$program" kubefab "$@" <&8 >/run/kubefab/change.log 2>&1 &
    status=0
    wait $! || status=$?
    cat /run/kubefab/change.log
    exit "$status"
}
main "$@"
