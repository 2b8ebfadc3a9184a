#!/bin/sh
# Prints a new bootstrap token that lives a quarter of an hour, and the cluster's CA in base64.
# usage: mint-token.sh NODE    the node that is to join with it
set -eu
. "${0%/*}/shared/unproxied.sh"
kubeadm token create --ttl 15m --description "kubefab:$1" --kubeconfig /etc/kubernetes/admin.conf
base64 -w0 /etc/kubernetes/pki/ca.crt
