#!/bin/sh
# Has the control plane run on over the data that etcd had before a restore; what was made ready for that goes.
set -eu
. "${0%/*}/shared/restore.sh"
folder=$(etcds_folder)
id=
[ ! -e /var/lib/kubefab/restore ] || id=$(sed -n 2p /var/lib/kubefab/restore)
if [ -n "$id" ] && [ "$(restored_in "$folder/member")" = "$id" ]; then
    echo "etcd has the snapshot's data already" >&2
    exit 1
fi
put_back
rm -rf "$folder/kubefab-restore" "$folder/kubefab-restore.part"
rm -f /var/lib/kubefab/restore
[ ! -d /var/lib/kubefab ] || sync /var/lib/kubefab
rmdir /var/lib/kubefab 2>/dev/null || true
