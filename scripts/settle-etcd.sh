#!/bin/sh
# Tells this master's etcd that it is one member of a cluster that exists, so that over an empty folder it does not start:
# it would make a cluster of its own there, or begin anew as a member that has promised the others what it forgot. With
# its data there it reads neither flag. Its kubelet starts it anew, by the manifest, in which all else stays as it is.
set -eu
. "${0%/*}/shared/etcd.sh"
manifest=/etc/kubernetes/manifests/etcd.yaml
flag() { sed -n "s/^ *- --$1=//p" "$manifest"; }
itself=$(flag name)=$(flag initial-advertise-peer-urls)
# Beside its folder: the kubelet reads whatever is in there, in whatever state.
new=$(mktemp /etc/kubernetes/etcd.XXXXXX)
trap 'rm -f "$new"' EXIT
cp -p "$manifest" "$new"
awk -v itself="$itself" '
    /^ *- --initial-cluster-state=/ { next }
    /^ *- --initial-cluster=/ {
        indent = substr($0, 1, index($0, "-") - 1)
        print indent "- --initial-cluster=" itself
        print indent "- --initial-cluster-state=existing"
        next
    }
    { print }' "$manifest" >"$new"
grep -q initial-cluster-state=existing "$new" || { echo "$manifest has no --initial-cluster" >&2 && exit 1; }
sync "$new"
find_etcd "$(ss -Hltnp)" || etcd=
mv "$new" "$manifest"
sync "${manifest%/*}"
[ -n "$etcd" ] || exit 0
# Before the kubelet starts the new one, it has this host's API server delete the old one's mirror pod, and that waits
# half a minute for the etcd that is gone. Without an etcd it is of no use: ended, it says no at once, and comes back.
timeout 60 tail --pid "$etcd" -s 0.2 -f /dev/null || { echo "its kubelet has not ended etcd within a minute" >&2 && exit 1; }
for server in $(pgrep -x kube-apiserver || true); do
    if grep -qs kubepods "/proc/$server/cgroup"; then kill -KILL "$server" || true; fi
done
