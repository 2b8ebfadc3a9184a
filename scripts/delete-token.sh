#!/bin/sh
# usage: delete-token.sh ID
set -eu
kubeadm token delete "$1" --kubeconfig /etc/kubernetes/admin.conf
