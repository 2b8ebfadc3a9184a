#!/bin/sh
# Puts a control plane's manifests back that kubeadm had moved away when its upgrade was broken off: the newest of its
# copies. usage: put-manifests.sh NAME.yaml…
set -eu
for name; do
    copy=$(find /etc/kubernetes/tmp/ -path "*/kubeadm-backup-manifests-*/$name" -size +0 | sort | tail -n 1)
    # Beside its folder: the kubelet reads whatever is in there, in whatever state.
    new=$(mktemp /etc/kubernetes/manifest.XXXXXX)
    trap 'rm -f "$new"' EXIT
    cp -p "$copy" "$new"
    sync "$new"
    mv "$new" "/etc/kubernetes/manifests/$name"
done
sync /etc/kubernetes/manifests
