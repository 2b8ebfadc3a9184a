#!/bin/sh
# Has the kubelet start what stop-control-plane.sh has had ended, over the data of this restore alone.
# usage: start-control-plane.sh ID
set -eu
. "${0%/*}/shared/restore.sh"
require_restored "$(etcds_flag data-dir)/member" "$1"
aside=/etc/kubernetes/kubefab-restore
mkdir -p "$aside"
for part in $(control_plane); do
    [ -e "$aside/$part.yaml" ] || continue
    sync "$aside/$part.yaml"
    mv "$aside/$part.yaml" "/etc/kubernetes/manifests/$part.yaml"
done
sync /etc/kubernetes/manifests "$aside"
rmdir "$aside"
