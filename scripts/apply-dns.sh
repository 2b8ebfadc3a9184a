#!/bin/sh
# The cluster's DNS, as kubeadm would have applied it in init. usage: apply-dns.sh    standard input: kubeadm's documents
set -eu
umask 077
documents=$(mktemp /run/kubefab/dns.XXXXXX)
trap 'rm -f "$documents"' EXIT
cat >"$documents"
kubeadm init phase addon coredns --config "$documents"
