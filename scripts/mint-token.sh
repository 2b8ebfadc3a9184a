#!/bin/sh
# Prints a new bootstrap token that lives a quarter of an hour, and the cluster's CA in base64.
# usage: mint-token.sh NODE    the node that is to join with it
set -eu
# The login's own proxy would stand between us and the API server.
unset HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy
kubeadm token create --ttl 15m --description "kubefab:$1" --kubeconfig /etc/kubernetes/admin.conf
base64 -w0 /etc/kubernetes/pki/ca.crt
