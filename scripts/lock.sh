# shellcheck shell=sh
# Holds a lock for as long as its caller sends a byte at least every 90 seconds: a caller that dies, or
# whose cable is pulled, lets go of it.
# usage: lock.sh HOLDER [SECONDS]    prints "held", then "heard" for each byte; or "busy SINCE HOLDER" of whoever has it
main() {
    set -eu
    exec 2>&1 # why there is no lock is the answer
    [ -d /run/kubefab ] || mkdir -m 0700 /run/kubefab
    exec 9>>/run/kubefab/run
    # A look tries the lock, and so holds it for a moment.
    if ! flock -w 1 9; then
        echo "busy $(cat /run/kubefab/run)"
        exit 0
    fi
    # Through cat, which says why the file cannot be written; the shell's own echo does not.
    echo "$(date +%s) $1" | cat >/run/kubefab/run
    echo held
    while beat=$(timeout "${2:-90}" head -c 1) && [ -n "$beat" ]; do
        echo heard
    done
}
main "$@"
# Without this the shell would go on reading its program, and hold the lock.
exit
