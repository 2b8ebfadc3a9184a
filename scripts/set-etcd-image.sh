#!/bin/sh
# Has this master's etcd run from another image; all else in its manifest stays. usage: set-etcd-image.sh IMAGE
set -eu
. "${0%/*}/shared/manifest.sh"
# shellcheck disable=SC2154  # shared/manifest.sh sets it
grep -q '^ *image: .*/etcd:' "$manifest" || { echo "$manifest names no image of etcd's" >&2 && exit 1; }
change_manifest sed "s|^\( *image:\) .*/etcd:.*|\1 $1|"
