#!/bin/sh
# Prints a snapshot of this host's etcd, checked here by etcd's own tool, whose word on it goes to standard error.
# usage: print-snapshot.sh SECONDS    which it may take to be made
# It lies here only meanwhile, for root's eyes; what a power cut left is taken away by the next one.
set -eu
umask 077
. "${0%/*}/shared/etcd.sh"
. "${0%/*}/shared/snapshot.sh"
require_etcd
rm -rf /var/lib/kubefab-etcd.*
folder=$(mktemp -d /var/lib/kubefab-etcd.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap exit HUP INT TERM
said=$(save_snapshot "$1" "$folder/snapshot.db")
printf 'checked %s\n' "$said" >&2
cat "$folder/snapshot.db"
