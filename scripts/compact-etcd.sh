#!/bin/sh
# Has etcd drop the history of its keys before this revision. usage: compact-etcd.sh REVISION
# Clients that still read older revisions get an error and ask anew: an API server does the same every five minutes.
set -eu
. "${0%/*}/shared/etcd.sh"
case ${1:-} in "" | *[!0-9]*) echo "found ${1:-}; allowed: a revision, in digits" >&2 && exit 1 ;; esac
require_etcd
said=$(ask_etcd 600 --command-timeout 590s compaction --physical "$1" 2>&1) || case $said in
    *"has been compacted"*) ;;
    *) printf '%s\n' "$said" >&2 && exit 1 ;;
esac
