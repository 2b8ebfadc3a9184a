# shellcheck shell=sh
# apt asks nobody anything, and where a bundle is the one source, no other source either.
export DEBIAN_FRONTEND=noninteractive
if grep -qs /var/lib/kubefab-bundle /etc/apt/sources.list.d/kubernetes.list; then
    export APT_CONFIG=/var/lib/kubefab-bundle/apt.conf
fi
