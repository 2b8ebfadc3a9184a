#!/bin/sh
# Has the kubelet end this master's API server, controller manager, scheduler and etcd, until start-control-plane.sh: their
# manifests are put aside, where it does not read. usage: stop-control-plane.sh ID DIGEST    of the restore that wants it so,
# and of its snapshot: the marker tells them to whoever goes on.
set -eu
. "${0%/*}/shared/restore.sh"
marker=/var/lib/kubefab/restore aside=/etc/kubernetes/kubefab-restore
mkdir -p "${marker%/*}"
printf '%s\n' "$(date +%s)" "$1" "$2" >"$marker.new"
sync "$marker.new"
mv "$marker.new" "$marker"
sync "${marker%/*}"
systemctl start kubelet # without it nothing ends
mkdir -p "$aside"
for part in $(control_plane); do
    [ -e "/etc/kubernetes/manifests/$part.yaml" ] || continue
    sync "/etc/kubernetes/manifests/$part.yaml"
    mv "/etc/kubernetes/manifests/$part.yaml" "$aside/$part.yaml"
done
sync /etc/kubernetes/manifests "$aside"
since=$(date +%s)
while found=$(running_parts | paste -sd ' ') && [ -n "$found" ]; do
    if [ "$(($(date +%s) - since))" -ge 180 ]; then
        echo "its kubelet has not ended within three minutes: $found" >&2
        exit 1
    fi
    echo "still run: $found"
    sleep 0.5
done
