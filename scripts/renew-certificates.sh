#!/bin/sh
# Has kubeadm renew certificates that it has made here: static pods', and those in .conf files. From files alone: no API
# server has to answer. usage: renew-certificates.sh COMMAND NAME…    COMMAND: kubeadm's for it; NAME: a file of them below
# /etc/kubernetes (pki/etcd/peer.crt, admin.conf); standard input: kubeadm's documents
# kubeadm writes a key before its certificate, and syncs neither: after a power cut they need not belong together, and
# kubeadm renews no truncated certificate. So the former ones are kept until the new ones are on the disk, and put back
# where kubeadm fails. Where they are found, a run was killed: this one begins with them, and what that was to renew.
set -eu
umask 077
command=$1 kept=/var/lib/kubefab/renewal
shift
copy() { # copy FROM TO: each file is whole, under its name, or is the one that was there
    for name in $files; do
        [ -e "$1/$name" ] || continue
        cp -a "$1/$name" "$2/$name.kubefab"
        sync "$2/$name.kubefab"
        mv "$2/$name.kubefab" "$2/$name"
        sync "$(dirname "$2/$name")"
    done
}
documents=$(mktemp /run/kubefab/renewal.XXXXXX)
trap 'rm -f "$documents"' EXIT
cat >"$documents"
# Copies of another cluster's, which somebody has reset by hand, are of no use to this one.
if [ -s "$kept/ca.crt" ] && [ -s /etc/kubernetes/pki/ca.crt ] && ! cmp -s "$kept/ca.crt" /etc/kubernetes/pki/ca.crt; then
    rm -r "$kept"
fi
if [ -e "$kept" ]; then
    # shellcheck disable=SC2046  # its words
    set -- "$@" $(cat "$kept/names")
fi
# shellcheck disable=SC2046  # its words
set -- $(printf '%s\n' "$@" | sort -u)
files=
for name; do
    files="$files $name"
    case $name in *.crt) files="$files ${name%.crt}.key" ;; esac
done
if [ -e "$kept" ]; then
    copy "$kept" /etc/kubernetes
fi
rm -rf "$kept.new"
mkdir -p "$kept.new/pki/etcd"
copy /etc/kubernetes "$kept.new"
cp /etc/kubernetes/pki/ca.crt "$kept.new/ca.crt"
echo "$*" >"$kept.new/names"
sync -f "$kept.new"
rm -rf "$kept"
mv "$kept.new" "$kept"
sync "${kept%/*}"
for name; do
    name=${name#pki/}
    name=$(printf '%s' "${name%.crt}" | tr / -) # kubeadm's own: etcd-peer
    # shellcheck disable=SC2086  # its words
    if ! kubeadm $command "$name" --config "$documents"; then
        copy "$kept" /etc/kubernetes
        rm -r "$kept"
        exit 1
    fi
done
sync -f /etc/kubernetes
rm -r "$kept"
rmdir "${kept%/*}" 2>/dev/null || true # it may hold other marks
