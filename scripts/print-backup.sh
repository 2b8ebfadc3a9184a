#!/bin/sh
# Prints a file of a backup of etcd that this master has made by itself: snapshot.db, keys, or about.
# usage: print-backup.sh NAME FILE    NAME: its time, as 2026-11-26T06-00-00Z
set -eu
. "${0%/*}/shared/backups.sh"
kept | grep -qxF "$1" || { echo "there is no backup $1 here" >&2 && exit 1; }
case $2 in snapshot.db | keys | about) ;; *) echo "found $2; allowed: snapshot.db, keys, about" >&2 && exit 1 ;; esac
# shellcheck disable=SC2154  # shared/backups.sh sets it
exec 9>>"$backups/lock"
flock -s -w 60 9 || { echo "a backup is being made" >&2 && exit 1; }
cat "$backups/$1/$2"
