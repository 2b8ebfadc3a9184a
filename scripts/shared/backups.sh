# shellcheck shell=sh
# What backs etcd up by itself on a master: where the backups are, and the timer, which is kubefab's where it says so.
backups=/var/lib/kubefab-backups
kept() { # the backups, the oldest first: what has such a name was checked
    find "$backups" -mindepth 1 -maxdepth 1 -type d -name '????-??-??T??-??-??Z' -printf '%f\n' 2>/dev/null | sort
}
timer_files() {
    for path in /etc/systemd/system/kubefab-backup.timer /etc/systemd/system/kubefab-backup.service \
        /usr/local/lib/kubefab/backup-etcd.sh; do
        ! grep -qsi 'written by kubefab' "$path" || echo "$path"
    done
}
remove_timer() { # the backups stay
    found=$(timer_files)
    [ -n "$found" ] || return 0
    systemctl disable --now kubefab-backup.timer 2>/dev/null || is_stopped kubefab-backup.timer
    systemctl stop kubefab-backup.service 2>/dev/null || is_stopped kubefab-backup.service
    printf '%s\n' "$found" | while read -r path; do rm "$path"; done
    systemctl daemon-reload
    systemctl reset-failed kubefab-backup.service 2>/dev/null || true # where it has not failed there is nothing to reset
    rm -f /var/lib/systemd/timers/stamp-kubefab-backup.timer
    rmdir /usr/local/lib/kubefab 2>/dev/null || true
}
