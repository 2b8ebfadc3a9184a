#!/bin/sh
# Tells this master's etcd that it is one member of a cluster that exists, so that over an empty folder it does not start:
# it would make a cluster of its own there, or begin anew as a member that has promised the others what it forgot. With
# its data there it reads neither flag. Its kubelet starts it anew, by the manifest, in which all else stays as it is.
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
