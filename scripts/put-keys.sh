#!/bin/sh
# Puts the keys that all masters share where kubeadm init takes them for its own. standard input: NAME CONTENT a line,
# below /etc/kubernetes and in base64. A key that is there already stays.
set -eu
umask 077
mkdir -p /etc/kubernetes/pki/etcd
chmod 755 /etc/kubernetes /etc/kubernetes/pki /etc/kubernetes/pki/etcd
while read -r name content; do
    path=/etc/kubernetes/$name
    [ ! -e "$path" ] || continue
    printf '%s' "$content" | base64 -d >"$path.kubefab"
    case $name in *.key) ;; *) chmod 644 "$path.kubefab" ;; esac
    sync "$path.kubefab"
    mv "$path.kubefab" "$path"
    sync "${path%/*}"
done
