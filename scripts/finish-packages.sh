#!/bin/sh
# Installs the other packages of a version that the kubelet already has, and holds all of them.
# usage: finish-packages.sh VERSION
set -eu
. "${0%/*}/shared/upgrade.sh"
install_kubernetes "$1" kubelet kubeadm kubectl kubernetes-cni
