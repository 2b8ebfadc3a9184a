#!/bin/sh
# Prints a token of an hour for a service account. usage: mint-login.sh NAMESPACE ACCOUNT
set -eu
exec kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /run/kubefab/kubectl \
    --namespace "$1" create token "$2" --duration 1h
