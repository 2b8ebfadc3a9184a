#!/bin/sh
# Installs Docker Engine; newer distributions have its command line in a package of its own.
set -eu
export DEBIAN_FRONTEND=noninteractive
# Where a bundle is the one source, apt is to ask no other.
if grep -qs /var/lib/kubefab-bundle /etc/apt/sources.list.d/kubernetes.list; then
    export APT_CONFIG=/var/lib/kubefab-bundle/apt.conf
fi
install() {
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold \
        install --no-install-recommends "$@" </dev/null
}
install docker.io || {
    apt-get -q -o DPkg::Lock::Timeout=600 update
    install docker.io
}
command -v docker >/dev/null || install docker-cli
