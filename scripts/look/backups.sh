# shellcheck shell=sh
# The backups of etcd that this master has made by itself, how the last one failed that did, and what makes them.
. "${0%/*}/shared/backups.sh"
timer_files | while read -r path; do fact "timer_file $path"; done
# shellcheck disable=SC2154  # shared/backups.sh sets it
kept | while read -r name; do
    [ -s "$backups/$name/snapshot.db" ] || continue
    fact "backup $name $(stat -c %s "$backups/$name/snapshot.db" 2>/dev/null)"
    [ ! -e /etc/kubernetes/pki/ca.crt ] || of_this_cluster "$name" || fact "former_backup $name"
done
if [ -e "$backups/failed" ]; then
    read -r at why <"$backups/failed"
    fact "backup_failed_at $at"
    fact "backup_failed ${why:-for no reason that was told}"
fi
