#!/bin/sh
# Tells this master's etcd that it is one member of a cluster that exists, so that over an empty folder it does not start:
# it would make a cluster of its own there, or begin anew as a member that has promised the others what it forgot. With
# its data there it reads neither flag. Its kubelet starts it anew, by the manifest, in which all else stays as it is.
set -eu
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
mv "$new" "$manifest"
sync "${manifest%/*}"
