#!/bin/sh
# Has this master's etcd start over its data alone, where that was not done when it was made: see shared/settle.sh.
set -eu
. "${0%/*}/shared/settle.sh"
# shellcheck disable=SC2154  # shared/manifest.sh sets it
grep -q -- '- --initial-cluster=' "$manifest" || { echo "$manifest has no --initial-cluster" >&2 && exit 1; }
change_manifest settled
