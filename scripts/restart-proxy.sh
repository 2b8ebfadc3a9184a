#!/bin/sh
# Restarts kube-proxy: the kubelet copies the host's /etc/hosts for it at each start of its container.
set -eu
. "${0%/*}/shared/contained.sh"
restart_contained kube-proxy
