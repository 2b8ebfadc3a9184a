#!/bin/sh
# Tells this master's etcd that it is a member of an existing cluster, so that it does not start over an empty folder:
# there it would make a cluster of its own, or begin anew as a member that has forgotten what it promised the others.
# With data it reads neither flag. The kubelet restarts it, by the manifest, in which all else stays as it is.
set -eu
. "${0%/*}/shared/manifest.sh"
# shellcheck disable=SC2154  # shared/manifest.sh sets it
grep -q -- '- --initial-cluster=' "$manifest" || { echo "$manifest has no --initial-cluster" >&2 && exit 1; }
itself=$(etcds_flag name)=$(etcds_flag initial-advertise-peer-urls)
settled() {
    awk -v itself="$itself" '
        /^ *- --initial-cluster-state=/ { next }
        /^ *- --initial-cluster=/ {
            indent = substr($0, 1, index($0, "-") - 1)
            print indent "- --initial-cluster=" itself
            print indent "- --initial-cluster-state=existing"
            next
        }
        { print }' "$1"
}
change_manifest settled
