#!/bin/sh
# Installs the Kubernetes packages at one version and holds them there.
# usage: install-kubernetes.sh VERSION
set -eu
. "${0%/*}/shared/apt.sh"
apt() { apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold "$@" </dev/null; }
install() {
    apt install --no-remove --no-install-recommends --allow-change-held-packages \
        "kubelet=$1-*" "kubeadm=$1-*" "kubectl=$1-*" kubernetes-cni bash-completion
}

# Only this repository's lists: all of them would take longer than the packages.
apt update -o Dir::Etc::sourcelist=sources.list.d/kubernetes.list -o Dir::Etc::sourceparts=- \
    -o APT::Get::List-Cleanup=0
install "$1" || { apt update && install "$1"; }
apt-mark hold kubelet kubeadm kubectl kubernetes-cni
