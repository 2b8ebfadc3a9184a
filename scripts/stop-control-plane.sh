#!/bin/sh
# Has the kubelet end this master's API server, controller manager, scheduler and etcd, until start-control-plane.sh: it
# moves their manifests to where the kubelet does not read. usage: stop-control-plane.sh ID DIGEST    of the restore,
# and of its snapshot: the marker holds both for the run that goes on.
set -eu
. "${0%/*}/shared/restore.sh"
marker=/var/lib/kubefab/restore
mkdir -p "${marker%/*}"
printf '%s\n' "$(date +%s)" "$1" "$2" >"$marker.new"
sync "$marker.new"
mv "$marker.new" "$marker"
sync "${marker%/*}"
put_aside
systemctl start kubelet
since=$(date +%s)
while found=$(running) && [ -n "$found" ]; do
    # A kubelet that was started while no API server answered ends only what it has started itself. An API server waits
    # half a minute for open watches (kubernetes/kubernetes#131052), and what it still writes is lost anyway.
    case $(($(date +%s) - since)) in
        [0-4]) signal=0 servers=0 ;;
        [5-9] | 1[0-9]) signal=0 servers=KILL ;;
        [2-5][0-9]) signal=TERM servers=KILL ;;
        [6-9][0-9] | 1[0-7][0-9]) signal=KILL servers=KILL ;;
        *) echo "it runs still, after three minutes: $(parts_of "$found")" >&2 && exit 1 ;;
    esac
    echo "still run: $(parts_of "$found")"
    printf '%s\n' "$found" | while read -r part process; do
        case $part in
            kube-apiserver) kill "-$servers" "$process" ;;
            *) kill "-$signal" "$process" ;;
        esac || true # it has ended by itself
    done
    sleep 0.5
done
running >/dev/null 2>&1 # fails where it cannot be told what runs, which is no proof that all has ended
