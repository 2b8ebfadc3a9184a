# shellcheck shell=sh disable=SC2154  # $program, $payload and $beat are set by kubefab/host.py, in front of this text
# Makes one change that survives its caller: if the connection is lost, it runs on to its end, and the lock on
# /run/kubefab/change tells the next run that it does.
# usage: change.sh TITLE ABOUT ARG…    $program: the script's text; $payload: its standard input, in base64
# ABOUT is empty for a change of this machine, where only one may run at a time. A change of the cluster made through
# this machine says what it is about: "drain client" excludes only another drain of client.
# $mark begins the lines that repeat, every $beat seconds, what the change said last.
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
    # A look tries the lock, and so holds it for a moment.
    if ! flock -w 2 9; then
        echo "another change is under way here: $(cut -d '|' -f 2- "$file")"
        exit 75
    fi
    # Through cat, which says why the file cannot be written; the shell's own echo does not.
    echo "$(date +%s) $about|$title" | cat >"$file"
    # All input is written before the change starts: a pipe would break with the caller, and leave it only a part.
    (umask 077 && printf '%s' "$payload" | base64 -d >"$file.input")
    exec 8<"$file.input"
    rm "$file.input"
    # In a scope of its own: with KillUserProcesses logind kills all processes of a login's session, except root's. The
    # default description would put the whole program into the journal.
    ${SUDO_USER:+systemd-run --scope --quiet --collect "--description=kubefab: $title"} setsid -w sh -c "$program" kubefab "$@" <&8 >"$file.log" 2>&1 &
    change=$!
    while sleep "${beat:-30}" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        echo "${mark:-} $(tail -n 1 "$file.log")"
    done 8<&- 9>&- &
    teller=$!
    status=0
    wait $change || status=$?
    kill $teller 2>/dev/null || true # it may have ended already
    cat "$file.log"
    exit "$status"
}
main "$@"
