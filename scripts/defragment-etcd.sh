#!/bin/sh
# Has this host's member of etcd give unused room in its database back. It answers nobody meanwhile, and would first
# wait for a snapshot that is being written: so the timer makes no backup at the same time.
set -eu
. "${0%/*}/shared/etcd.sh"
. "${0%/*}/shared/backups.sh"
require_etcd
# shellcheck disable=SC2154  # shared/backups.sh sets it
if [ -e "$backups/lock" ]; then
    exec 9>>"$backups/lock"
    flock -w 1200 9 || { echo "backups are being made, or fetched, for 20 minutes" >&2 && exit 1; }
fi
ask_etcd 1800 --command-timeout 1790s defrag
