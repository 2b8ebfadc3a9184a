#!/bin/sh
# Creates the control plane, without its DNS (see apply-dns.sh). usage: init.sh CHECK    standard input: kubeadm's
# documents; CHECK: kubeadm's command that reads them and changes nothing. Older ones only warn of what they do
# not know.
# The marker is there from before kubeadm changes anything until right after its success, so that one left
# behind means that init itself did not finish. What kubeadm's preflight finds was there before us.
set -eu
. "${0%/*}/shared/unproxied.sh"
. "${0%/*}/shared/proxied.sh"
umask 077
documents=$(mktemp /run/kubefab/init.XXXXXX)
trap 'rm -f "$documents"' EXIT
cat >"$documents"
# shellcheck disable=SC2086  # its words
said=$(kubeadm $1 --config "$documents" 2>&1) || { echo "$said"; exit 1; }
case $said in *"unknown field"*) echo "$said"; exit 1 ;; esac
umask 022
kubeadm init phase preflight --config "$documents"
mkdir -p /var/lib/kubefab
date +%s >/var/lib/kubefab/init
sync /var/lib/kubefab/init # after a power cut it would be there, and empty
kubeadm init --config "$documents" --skip-phases preflight,addon/coredns --skip-token-print
rm /var/lib/kubefab/init
