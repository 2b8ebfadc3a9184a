# shellcheck shell=sh disable=SC2154  # $program, $payload and $beat are set by kubefab/host.py, in front of this text
# Makes one change so that it survives its caller: should the connection be lost, it runs on to its end,
# and /run/kubefab/change, locked for as long, tells the next run that it does.
# usage: change.sh TITLE ABOUT ARG…    $program: the script's text; $payload: its standard input, in base64
# ABOUT is empty for a change of this machine, of which there is one at a time. A change of the cluster that is made
# by way of this machine says what it is about: "drain client" excludes another drain of client and nothing else.
# $mark begins the lines that tell, every $beat seconds, what the change said last.
main() {
    set -eu
    export LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    umask 022
    title=$1 about=$2 file=/run/kubefab/change
    shift 2
    [ -d /run/kubefab ] || mkdir -m 0700 /run/kubefab
    if [ -n "$about" ]; then
        file=/run/kubefab/about-$(printf '%s' "$about" | sha256sum | head -c 16)
    fi
    exec 9>>"$file"
    # A look that tries the lock has it for a moment.
    if ! flock -w 2 9; then
        echo "another change is under way here: $(cut -d '|' -f 2- "$file")"
        exit 75
    fi
    # cat says why it cannot be written; the shell's own echo does not.
    echo "$(date +%s) $about|$title" | cat >"$file"
    # All of its input is there before it starts: a pipe would break off with the caller, and leave it a part.
    (umask 077 && printf '%s' "$payload" | base64 -d >"$file.input")
    exec 8<"$file.input"
    rm "$file.input"
    # With KillUserProcesses logind ends all of a login's session with it, except root's own: so it is in no session.
    # Its own description would be the whole program, and the journal would have it.
    ${SUDO_USER:+systemd-run --scope --quiet --collect "--description=kubefab: $title"} setsid -w sh -c "$program" kubefab "$@" <&8 >"$file.log" 2>&1 &
    change=$!
    while sleep "${beat:-30}" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        echo "${mark:-} $(tail -n 1 "$file.log")"
    done 8<&- 9>&- &
    teller=$!
    status=0
    wait $change || status=$?
    kill $teller 2>/dev/null || true # it may have ended, for want of a process
    cat "$file.log"
    exit "$status"
}
main "$@"
