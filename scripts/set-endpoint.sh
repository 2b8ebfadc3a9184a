#!/bin/sh
# Gives the control plane's name an address in /etc/hosts, or takes it away: all else there stays as it is.
# usage: set-endpoint.sh NAME [ADDRESS]
set -eu
set_in() { # set_in FILE NAME [ADDRESS]
    new=$1.kubefab
    cp -p "$1" "$new"
    awk -v name="$2" '
        {
            found = 0
            kept = $1
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^#/) while (i <= NF) kept = kept " " $(i++)
                else if ($i == name) found = 1
                else kept = kept " " $i
            }
        }
        /^[[:space:]]*#/ || !found { print; next }
        kept != $1 { print kept }' "$1" >"$new"
    [ -z "${3-}" ] || printf '%s %s\n' "$3" "$2" >>"$new"
    sync "$new"
    # Where /etc/hosts is a mount of its own, as in a container, it can be written but not replaced.
    mv "$new" "$1" 2>/dev/null || {
        cat "$new" >"$1"
        sync "$1"
        rm "$new"
    }
    sync "${1%/*}"
}
set_in /etc/hosts "$@"
# From this cloud-init writes /etc/hosts anew at every boot, where /etc/hosts says that it does.
template=/etc/cloud/templates/hosts.debian.tmpl
if grep -q manage_etc_hosts /etc/hosts && [ -e "$template" ]; then
    set_in "$template" "$@"
fi
