#!/bin/sh
# Prints a tar of an apt repository: these packages, and all that they need on a machine that has nothing yet.
# usage: pack-packages.sh NAME…    as apt knows them: "containerd", "kubelet=1.37.2-*"; "docker-cli?" if it does
set -eu
export LC_ALL=C
. "${0%/*}/shared/apt.sh"
folder=$(mktemp -d /var/tmp/kubefab-packages.XXXXXX)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/partial"
apt-get -q update >&2 || : # see refresh_lists
for name; do
    shift
    case $name in *\?) [ -n "$(apt-cache show "${name%\?}" 2>/dev/null)" ] || continue ;; esac
    set -- "$@" "${name%\?}"
done
apt-get -q -y -o Dir::State::status=/dev/null -o Dir::Cache::archives="$folder" -o APT::Sandbox::User=root \
    install --download-only --no-install-recommends "$@" </dev/null >&2
cd "$folder"
rm -rf partial lock
for archive in *.deb; do
    # An epoch's %3a would be decoded where a URL is made of the name.
    file=$(printf '%s' "$archive" | tr % _)
    [ "$archive" = "$file" ] || mv "$archive" "$file"
    dpkg-deb --field "$file"
    echo "Filename: ./$file"
    echo "Size: $(stat -c %s "$file")"
    sum=$(sha256sum "$file")
    echo "SHA256: ${sum%% *}"
    echo
done >Packages
tar -cf - ./*
