#!/bin/sh
# Gives the control plane's name an address in /etc/hosts, or takes it away: all else there stays as it is.
# usage: set-endpoint.sh NAME [ADDRESS]
set -eu
new=/etc/hosts.kubefab
cp -p /etc/hosts "$new"
awk -v name="$1" '
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
    kept != $1 { print kept }' /etc/hosts >"$new"
[ -z "${2-}" ] || printf '%s %s\n' "$2" "$1" >>"$new"
# Where /etc/hosts is a mount of its own, as in a container, it can be written but not replaced.
mv "$new" /etc/hosts 2>/dev/null || {
    cat "$new" >/etc/hosts
    rm "$new"
}
