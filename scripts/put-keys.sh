#!/bin/sh
# Puts the keys that all masters share where a kubeadm init takes them for its own. standard input: a line each, NAME CONTENT,
# below /etc/kubernetes and in base64. What is there already stays.
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
