#!/bin/sh
# Has kubeadm renew all that it renews here: the static pods' certificates, and those in the .conf files. From files alone:
# no API server has to answer. usage: renew-certificates.sh COMMAND    kubeadm's for it; standard input: its documents
# kubeadm writes a key before its certificate, and syncs neither: what a power cut leaves of them need not belong together,
# and by half of a certificate it makes no new one. So those from before are kept until the new ones are on the disk; who
# finds them begins with them.
set -eu
umask 077
kept=/var/lib/kubefab/renewal
names='pki/ca.crt admin.conf super-admin.conf controller-manager.conf scheduler.conf'
for name in apiserver apiserver-kubelet-client apiserver-etcd-client front-proxy-client \
    etcd/server etcd/peer etcd/healthcheck-client; do
    names="$names pki/$name.crt pki/$name.key"
done
copy() { # copy FROM TO
    for name in $names; do
        [ ! -e "$1/$name" ] || cp -a "$1/$name" "$2/$name"
    done
}
documents=$(mktemp /run/kubefab/renewal.XXXXXX)
trap 'rm -f "$documents"' EXIT
cat >"$documents"
# Another cluster's, which somebody has reset by hand, are of no use to this one.
cmp -s "$kept/pki/ca.crt" /etc/kubernetes/pki/ca.crt || rm -rf "$kept"
if [ -e "$kept" ]; then
    copy "$kept" /etc/kubernetes
else
    rm -rf "$kept.new"
    mkdir -p "$kept.new/pki/etcd"
    copy /etc/kubernetes "$kept.new"
    sync -f "$kept.new"
    mv "$kept.new" "$kept"
    sync "${kept%/*}"
fi
# shellcheck disable=SC2086  # its words
kubeadm $1 --config "$documents"
sync -f /etc/kubernetes
rm -r "$kept"
rmdir "${kept%/*}" 2>/dev/null || true # it may hold other marks
