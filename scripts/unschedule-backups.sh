#!/bin/sh
# Takes away what backs etcd up by itself on this host, as far as kubefab has put it there. The backups stay.
set -eu
. "${0%/*}/shared/stopped.sh"
. "${0%/*}/shared/backups.sh"
remove_timer
