#!/bin/sh
# Puts a new client certificate where this host's kubelet keeps its own, and restarts it: with one that has ended it
# cannot ask for another. From then on it renews it itself. standard input: a kubeconfig with certificate and key
# The kubelet is stopped first: if this is killed, the next run sees that it does not run, and starts it.
set -eu
umask 077
conf=$(cat)
value() { printf '%s\n' "$conf" | sed -n "s/^ *$1: *//p"; }
certificate=$(value client-certificate-data)
key=$(value client-key-data)
[ -n "$certificate" ] && [ -n "$key" ] || { echo "kubeadm has made no certificate for it" >&2 && exit 1; }
pki=/var/lib/kubelet/pki current=/var/lib/kubelet/pki/kubelet-client-current.pem new=/etc/kubernetes/kubelet.conf.kubefab
name=$pki/kubelet-client-$(date +%Y-%m-%d-%H-%M-%S).pem # as the kubelet calls them (k8s.io/client-go, certificate_store.go)
rm -f "$pki"/kubelet-client-*.pem.kubefab "$new" # left by a run that was killed
systemctl stop kubelet
{ printf '%s' "$certificate" | base64 -d && printf '%s' "$key" | base64 -d; } >"$name.kubefab"
sync "$name.kubefab"
mv "$name.kubefab" "$name"
ln -sf "$name" "$current.kubefab"
mv -T "$current.kubefab" "$current"
sync "$pki"
# A master's kubelet.conf by kubeadm may itself contain the kubelet's first certificate.
if grep -q '^ *client-certificate-data:' /etc/kubernetes/kubelet.conf; then
    sed "s,^\( *client-\(certificate\|key\)\)-data:.*,\1: $current," /etc/kubernetes/kubelet.conf >"$new"
    sync "$new"
    mv "$new" /etc/kubernetes/kubelet.conf
    sync /etc/kubernetes
fi
systemctl start kubelet
