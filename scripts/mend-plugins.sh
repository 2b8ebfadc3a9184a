#!/bin/sh
# Puts the network plugins back where the package is installed and its files are gone.
set -eu
export DEBIAN_FRONTEND=noninteractive
# Where a bundle is the one source, apt is to ask no other.
if grep -qs /var/lib/kubefab-bundle /etc/apt/sources.list.d/kubernetes.list; then
    export APT_CONFIG=/var/lib/kubefab-bundle/apt.conf
fi
version=$(dpkg-query -W -f '${Version}' kubernetes-cni)
install() {
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold \
        install --reinstall --allow-change-held-packages "kubernetes-cni=$version" </dev/null
}
install || {
    apt-get -q -o DPkg::Lock::Timeout=600 update
    install
}
