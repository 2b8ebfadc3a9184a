# shellcheck shell=sh
# is_stopped UNIT: whether systemd says that it is stopped or does not exist. False where systemd does not answer.
is_stopped() {
    state=0
    timeout -k 2 20 systemctl --quiet is-active "$1" 2>/dev/null || state=$?
    case $state in 3 | 4) ;; *) return 1 ;; esac
}
