#!/bin/sh
# Installs cri-dockerd from its release's archive. usage: install-cri-dockerd.sh URL SHA256
set -eu
umask 022
folder=$(mktemp -d /run/kubefab/cri-dockerd.XXXXXX)
trap 'rm -rf "$folder"' EXIT
# apt's own: it is there, it knows the host's proxies and what lies on its disk, and it checks the sum.
/usr/lib/apt/apt-helper download-file "$1" "$folder/archive.tgz" "SHA256:$2"
tar -xzf "$folder/archive.tgz" -C "$folder"
install -m 0755 "$folder/cri-dockerd/cri-dockerd" /usr/local/bin/cri-dockerd.kubefab
sync /usr/local/bin/cri-dockerd.kubefab
mv /usr/local/bin/cri-dockerd.kubefab /usr/local/bin/cri-dockerd
sync /usr/local/bin
