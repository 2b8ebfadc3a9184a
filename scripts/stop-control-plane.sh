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
mkdir -p "$aside"
for part in $(control_plane); do
    [ -e "/etc/kubernetes/manifests/$part.yaml" ] || continue
    sync "/etc/kubernetes/manifests/$part.yaml"
    mv "/etc/kubernetes/manifests/$part.yaml" "$aside/$part.yaml"
done
sync /etc/kubernetes/manifests "$aside"
systemctl start kubelet
since=$(date +%s)
while found=$(running) && [ -n "$found" ]; do
    # A kubelet that has begun while no API server answered ends nothing that it has not started itself.
    case $(($(date +%s) - since)) in
        [0-9] | 1[0-9]) signal= ;;
        [2-5][0-9]) signal=TERM ;;
        [6-9][0-9] | 1[0-7][0-9]) signal=KILL ;;
        *) echo "it runs still, after three minutes: $(parts_of "$found")" >&2 && exit 1 ;;
    esac
    echo "still run: $(parts_of "$found")"
    [ -z "$signal" ] || printf '%s\n' "$found" | while read -r _ process; do kill "-$signal" "$process" || true; done
    sleep 0.5
done
running >/dev/null 2>&1 # what cannot be told, and was said so, has not ended
