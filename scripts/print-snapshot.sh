#!/bin/sh
# Prints a snapshot of this host's etcd, checked here by etcd's own tool, whose word on it goes to standard error.
# usage: print-snapshot.sh SECONDS    which it may take to be made
# It lies here only meanwhile, for root's eyes; what a power cut left is taken away by the next one.
set -eu
umask 077
. "${0%/*}/shared/etcd.sh"
find_etcd "$(named ss -Hltnp)" || { echo "no etcd of a control plane runs here" >&2 && exit 1; }
rm -rf /var/lib/kubefab-etcd.*
folder=$(mktemp -d /var/lib/kubefab-etcd.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap exit HUP INT TERM
ask_etcd "$1" snapshot save "$folder/snapshot.db" >&2
# etcdutl's since 3.5, and etcdctl's until then.
tool=etcdutl
etcd_program etcdutl >/dev/null || tool=etcdctl
said=$(run_etcds "$1" "$tool" snapshot status "$folder/snapshot.db" --write-out json)
printf 'checked %s\n' "$said" >&2
cat "$folder/snapshot.db"
