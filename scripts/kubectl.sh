#!/bin/sh
# kubectl as the cluster's admin, on a master. usage: kubectl.sh ARG…
set -eu
exec kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /run/kubefab/kubectl "$@"
