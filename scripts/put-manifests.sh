#!/bin/sh
# Puts back the manifests of a control plane that kubeadm had moved away when its upgrade was broken off, from its
# newest copy. usage: put-manifests.sh NAME.yaml…
set -eu
for name; do
    copy=$(find /etc/kubernetes/tmp/ -path "*/kubeadm-backup-manifests-*/$name" -size +0 | sort | tail -n 1)
    # Outside the manifests' folder, since the kubelet reads any file there, even half written.
    new=$(mktemp /etc/kubernetes/manifest.XXXXXX)
    trap 'rm -f "$new"' EXIT
    cp -p "$copy" "$new"
    sync "$new"
    mv "$new" "/etc/kubernetes/manifests/$name"
done
sync /etc/kubernetes/manifests
