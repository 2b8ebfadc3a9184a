#!/bin/sh
# Installs the Kubernetes packages at one version and holds them there.
# usage: install-kubernetes.sh VERSION
set -eu
. "${0%/*}/shared/kubernetes.sh"
install() { get_kubernetes "$1" kubelet kubeadm kubectl kubernetes-cni bash-completion; }
list_kubernetes
install "$1" || {
    refresh_lists
    install "$1"
}
apt-mark hold kubelet kubeadm kubectl kubernetes-cni
