# shellcheck shell=sh
# Holds a lock for as long as its caller sends a byte at least every 90 seconds: a caller that dies, or
# whose cable is pulled, lets go of it.
# usage: lock.sh HOLDER [SECONDS]    prints "held", then "heard" for each byte; or "busy SINCE HOLDER" of whoever has it
main() {
    set -eu
    exec 2>&1 # why there is no lock is the answer
    [ -d /run/kubefab ] || mkdir -m 0700 /run/kubefab
    exec 9>>/run/kubefab/run
    # A look that tries the lock has it for a moment.
    if ! flock -w 1 9; then
        echo "busy $(cat /run/kubefab/run)"
        exit 0
    fi
    # cat says why it cannot be written; the shell's own echo does not.
    echo "$(date +%s) $1" | cat >/run/kubefab/run
    echo held
    while beat=$(timeout "${2:-90}" head -c 1) && [ -n "$beat" ]; do
        echo heard
    done
}
main "$@"
# The shell would go on reading its program, with the lock in its hand.
exit
