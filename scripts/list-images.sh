#!/bin/sh
# Prints the images that kubeadm asks for. usage: list-images.sh [--judge] [VERSION URL SUITE KEYRING CONF]
# standard input: the documents of kubeadm init; with arguments a kubeadm of this VERSION is fetched from this apt
# repository, signed by KEYRING, by way of the proxy that CONF names for apt (both in base64), into a folder that goes
# away again: it is installed nowhere. With --judge, where kubeadm does not take the documents, "refused" and why instead
set -eu
umask 077
judge=
[ "${1-}" != --judge ] || { judge=yes && shift; }
place=/var/tmp
# Where programs there may not be run, use the file system that containers run from.
case $(findmnt -n -o OPTIONS -T "$place") in *noexec*) place=/var/lib ;; esac
folder=$(mktemp -d "$place/kubefab-images.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cat >"$folder/documents"
kubeadm=kubeadm
fetch() {
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    echo "$4" | base64 -d >"$folder/keyring.gpg"
    echo "deb [signed-by=$folder/keyring.gpg] $2 $3" >"$folder/sources.list"
    cat >"$folder/apt.conf" <<END
Dir::Etc::sourcelist "$folder/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
Dir::State::lists "$folder/lists";
Dir::Cache "$folder/cache";
APT::Sandbox::User "root";
$(echo "$5" | base64 -d)
END
    export APT_CONFIG="$folder/apt.conf"
    cd "$folder"
    apt-get -q update
    # The host's own settings are read after these; apt stops where no source has their Default-Release.
    apt-get -q -o APT::Default-Release= download "kubeadm=$1-*"
    dpkg-deb --extract ./kubeadm_*.deb root
    kubeadm=$folder/root/usr/bin/kubeadm
}
[ $# -eq 0 ] || fetch "$@" >&2 </dev/null
if [ -n "$judge" ] && ! said=$("$kubeadm" config validate --config "$folder/documents" 2>&1); then
    printf 'refused\n%s\n' "$said"
    exit 0
fi
"$kubeadm" config images list --config "$folder/documents"
