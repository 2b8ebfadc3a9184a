#!/bin/sh
# Makes data for etcd from a snapshot, beside the present ones. Nothing that runs is changed.
# usage: stage-restore.sh ID SNAPSHOT RUNTIME PEERS BUMP    ID: the new etcd's token; SNAPSHOT: a file, which is taken away with
# its folder; RUNTIME: containerd or docker; PEERS: NAME=URL,…, all members; BUMP: by
# how much revisions are raised
# The etcdutl of the image that will run makes them, and checks the snapshot by the hash at its end. It raises the
# revision and marks all before as compacted, so that clients with a cache ask anew (kubernetes/kubernetes#118501).
set -eu
umask 077
. "${0%/*}/shared/restore.sh"
id=$1 snapshot=$2 runtime=$3 peers=$4 bump=$5
place=${snapshot%/*} inside=/run/kubefab/etcd-image name=kubefab-restore
let_go() { ctr -n k8s.io images unmount --rm "$inside" >/dev/null 2>&1 || true; }
trap 'rm -rf "$place"' EXIT
trap exit HUP INT TERM
folder=$(etcds_folder)
image=$(etcds_image)
tool=/usr/local/bin/etcdutl
case $runtime in
    containerd)
        mkdir -p "$inside"
        let_go # after a run that was killed, containerd still has the lease
        ctr -n k8s.io images mount "$image" "$inside" >/dev/null
        cp "$inside$tool" "$place/etcdutl" 2>/dev/null || true
        let_go
        ;;
    docker)
        # Docker wants a command where the image has none, though the container is never started.
        docker rm "$name" >/dev/null 2>&1 || true # of one that was killed
        docker create --pull never --name "$name" "$image" etcdutl >/dev/null
        docker cp "$name:$tool" "$place/etcdutl" >/dev/null 2>&1 || true
        docker rm "$name" >/dev/null
        ;;
esac
[ -x "$place/etcdutl" ] || { echo "the image $image has no etcdutl" >&2 && exit 1; }
part=$folder/kubefab-restore.part
rm -rf "$part" "$folder/kubefab-restore"
env -i "$place/etcdutl" snapshot restore "$snapshot" --data-dir "$part" --name "$(etcds_flag name)" \
    --initial-cluster "$peers" --initial-cluster-token "$id" \
    --initial-advertise-peer-urls "$(etcds_flag initial-advertise-peer-urls)" \
    --bump-revision "$bump" --mark-compacted
printf '%s\n' "$id" >"$part/member/kubefab-restored"
like=$folder/member
[ -e "$like" ] || like=$folder
chown -R --reference "$like" "$part"
find "$part" -exec sync {} +
mv -T "$part" "$folder/kubefab-restore"
sync "$folder"
