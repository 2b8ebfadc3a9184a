# shellcheck shell=sh
# is_stopped UNIT: by systemd's own word, or there is no such unit. A systemd that does not answer has not said so.
is_stopped() {
    state=0
    timeout -k 2 20 systemctl --quiet is-active "$1" 2>/dev/null || state=$?
    case $state in 3 | 4) ;; *) return 1 ;; esac
}
