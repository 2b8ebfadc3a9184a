#!/bin/sh
# Gives up a restore: the control plane runs on with etcd's former data; what was made ready for the restore is removed.
set -eu
. "${0%/*}/shared/restore.sh"
folder=$(etcds_folder)
id=
[ ! -e /var/lib/kubefab/restore ] || id=$(sed -n 2p /var/lib/kubefab/restore)
if [ -n "$id" ] && [ "$(restored_in "$folder/member")" = "$id" ]; then
    echo "etcd has the snapshot's data already" >&2
    exit 1
fi
# A swap that was killed has put etcd's data aside, and nothing in their place: over an empty folder etcd would begin
# anew, unless its flags forbid that. What an earlier restore has put aside is older than the marker.
if [ -n "$id" ] && [ ! -e "$folder/member" ]; then
    oldest=$folder/before-restore-$(date -u -d "@$(sed -n 1p /var/lib/kubefab/restore)" +%Y-%m-%dT%H-%M-%SZ)
    kept=$({ echo "$oldest" && ls -d "$folder"/before-restore-[0-9]*Z 2>/dev/null; } | sort | tail -n 1)
    if [ -e "$kept" ]; then
        mv -T "$kept" "$folder/member"
        sync "$folder"
    elif [ "$(etcds_flag initial-cluster-state | tail -n 1)" != existing ]; then
        echo "etcd has no data in $folder, and would begin anew without: let the restore go on, by inv etcd.restore --from" \
            "the same snapshot, or put back what it had, as $folder/member, and do this again" >&2
        exit 1
    fi
fi
put_back
rm -rf "$folder/kubefab-restore" "$folder/kubefab-restore.part"
rm -f /var/lib/kubefab/restore
[ ! -d /var/lib/kubefab ] || sync /var/lib/kubefab
rmdir /var/lib/kubefab 2>/dev/null || true
