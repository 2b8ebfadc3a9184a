#!/bin/sh
# The cluster's DNS, as kubeadm would have applied it in init. usage: apply-dns.sh PATCHES    standard input: kubeadm's
# documents; PATCHES: the folder where they say that a patch lies, where this kubeadm takes one
set -eu
. "${0%/*}/shared/unproxied.sh"
umask 077
documents=$(mktemp /run/kubefab/dns.XXXXXX)
trap 'rm -rf "$documents" "$1"' EXIT
cat >"$documents"
# CoreDNS's first readiness probe always comes too soon, and the second one only 10 s later.
mkdir -p "$1"
echo '{"spec": {"template": {"spec": {"containers": [{"name": "coredns", "readinessProbe": {"periodSeconds": 2}}]}}}}' \
    >"$1/corednsdeployment+strategic.json"
kubeadm init phase addon coredns --config "$documents"
