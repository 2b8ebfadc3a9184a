#!/bin/sh
# Puts the network plugins back where the package is installed and its files are gone.
set -eu
. "${0%/*}/shared/apt.sh"
version=$(dpkg-query -W -f '${Version}' kubernetes-cni)
install() {
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold \
        install --no-remove --reinstall --allow-change-held-packages "kubernetes-cni=$version" </dev/null
}
install || {
    refresh_lists
    install
}
apt-mark hold kubernetes-cni # installing it took it off
