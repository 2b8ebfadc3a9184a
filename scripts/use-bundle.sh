#!/bin/sh
# Unpacks a bundle and checks every file in it; then it takes the place of the one before.
# usage: use-bundle.sh FILE SHA256    the sha256 of its checksums; FILE is deleted
set -eu
place=/var/lib/kubefab-bundle
trap 'rm -rf "$1" "$place.new"' EXIT
rm -rf "$place.new"
mkdir "$place.new"
tar -x --no-same-owner -f "$1" -C "$place.new"
cd "$place.new"
echo "$2  SHA256SUMS" | sha256sum --check --quiet
sha256sum --check --quiet SHA256SUMS
# Only our scripts' apt uses the bundle; the lists of others stay. apt stops where no source has the Default-Release that
# the host names, in what is read after this file: only Dir::Etc::main is read last.
cat >apt.conf <<END
Dir::Etc::main "$place/last.conf";
Dir::Etc::sourcelist "sources.list.d/kubernetes.list";
Dir::Etc::sourceparts "-";
APT::Get::List-Cleanup "false";
END
[ ! -e /etc/apt/apt.conf ] || echo '#include "/etc/apt/apt.conf";' >last.conf
echo 'APT::Default-Release "";' >>last.conf
sync --file-system .
rm -rf "$place"
mv "$place.new" "$place"
sync "${place%/*}"
