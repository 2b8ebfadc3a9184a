#!/bin/sh
# Removes the scheduled backups of etcd from this host, if kubefab has put them there. Backups that were made stay.
set -eu
. "${0%/*}/shared/stopped.sh"
. "${0%/*}/shared/backups.sh"
remove_timer
