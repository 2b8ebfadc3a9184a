#!/bin/sh
# kubectl as the cluster's admin, on a master. usage: kubectl.sh ARG…
set -eu
# The login's own proxy would stand between us and the API server.
unset HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy
exec kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /run/kubefab/kubectl "$@"
