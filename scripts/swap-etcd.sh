#!/bin/sh
# Replaces etcd's data by those that stage-restore.sh has made; the former stay beside them, as before-restore-TIME.
# usage: swap-etcd.sh ID
set -eu
. "${0%/*}/shared/restore.sh"
found=$(running)
[ -z "$found" ] || { echo "it runs: $(parts_of "$found")" >&2 && exit 1; }
folder=$(etcds_folder)
staged=$folder/kubefab-restore
[ "$(restored_in "$folder/member")" != "$1" ] || exit 0
require_restored "$staged/member" "$1"
touch "$staged/member/kubefab-restored" # programs that start later have never seen the former data
# A second proof that no etcd runs: it would hold this lock while it has its data open (go.etcd.io/bbolt, db.Open).
db=$folder/member/snap/db
[ ! -e "$db" ] || flock --timeout 5 "$db" true || { echo "an etcd may have $db open: it is locked" >&2 && exit 1; }
kept=$folder/before-restore-$(date -u +%Y-%m-%dT%H-%M-%SZ)
if [ -e "$folder/member" ]; then
    sync "$folder/member"
    mv -T "$folder/member" "$kept"
    sync "$folder"
fi
sync "$staged/member"
mv -T "$staged/member" "$folder/member"
rmdir "$staged"
sync "$folder"
