# shellcheck shell=sh
# The scheduled backups of etcd on a master: where they are, and their timer, which is kubefab's where its file says so.
backups=/var/lib/kubefab-backups
# With the slash find follows the folder where it is a link, to a bigger disk say.
kept() { # the backups, the oldest first: only a checked one has such a name; date drops a user's folders of no real day
    find "$backups/" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' 2>/dev/null |
        sed -nE 's/^([1-9][0-9]{3}(-[0-9]{2}){2})T([0-9]{2})-([0-9]{2})-([0-9]{2})Z$/\1 \3:\4:\5/p' |
        date -u -f - +%Y-%m-%dT%H-%M-%SZ 2>/dev/null | sort
}
of_this_cluster() { # of_this_cluster BACKUP: by the CA, which a restore keeps, and a new cluster has anew
    [ -e /etc/kubernetes/pki/ca.crt ] &&
        grep -qsxF "pki/ca.crt $(base64 -w 0 </etc/kubernetes/pki/ca.crt)" "$backups/$1/keys"
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
    case $found in
        *kubefab-backup.timer*)
            systemctl disable --now kubefab-backup.timer 2>/dev/null || is_stopped kubefab-backup.timer
            rm -f /var/lib/systemd/timers/stamp-kubefab-backup.timer
            ;;
    esac
    systemctl stop kubefab-backup.service 2>/dev/null || is_stopped kubefab-backup.service
    printf '%s\n' "$found" | while read -r path; do rm "$path"; done
    systemctl daemon-reload
    systemctl reset-failed kubefab-backup.service 2>/dev/null || true # where it has not failed there is nothing to reset
    rmdir /usr/local/lib/kubefab 2>/dev/null || true
}
