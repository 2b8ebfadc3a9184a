#!/bin/sh
# Installs cri-dockerd from its release's archive; one that somebody else has put there is kept beside it.
# usage: install-cri-dockerd.sh URL SHA256
set -eu
. "${0%/*}/shared/replace.sh"
umask 022
folder=$(mktemp -d /run/kubefab/cri-dockerd.XXXXXX)
trap 'rm -rf "$folder"' EXIT
# apt's own downloader: it is there, it knows the host's proxies, it reads local files, and it checks the sum.
/usr/lib/apt/apt-helper download-file "$1" "$folder/archive.tgz" "SHA256:$2"
tar -xzf "$folder/archive.tgz" -C "$folder"
place=/usr/local/bin/cri-dockerd
install -m 0755 "$folder/cri-dockerd/cri-dockerd" "$place.kubefab"
replace "$place"
