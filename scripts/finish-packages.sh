#!/bin/sh
# Installs what comes with a kubelet that is of a version already, and holds all of it there.
# usage: finish-packages.sh VERSION
set -eu
. "${0%/*}/shared/upgrade.sh"
install_kubernetes "$1" kubelet kubeadm kubectl kubernetes-cni
