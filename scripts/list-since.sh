#!/bin/sh
# Lists by its keys what was made and changed in this host's etcd since a revision; no value leaves etcd but one UID.
# Events and leases, which come and go by themselves, are left out. usage: list-since.sh REVISION
# Prints a line each: "uid UID" of kube-system, if it can be read, which shows whether etcd has begun anew over an
# emptied folder; "made KEY" of up to 10, else "made COUNT KIND"; and "changed COUNT".
set -eu
. "${0%/*}/shared/etcd.sh"
require_etcd
# A serializable read, by the member alone, works without a quorum, too.
said=$(ask_etcd 60 --command-timeout 50s get /registry/ --prefix --keys-only --consistency s --write-out fields)
ask_etcd 10 --command-timeout 9s get /registry/namespaces/kube-system --consistency s --print-value-only |
    grep -aoE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' | sed 's/^/uid /; q'
printf '%s\n' "$said" | awk -v since="$1" '
    /^"Key" : / { key = substr($0, 9); gsub(/^"\/registry\/|"$/, "", key) }
    key ~ /^(events|events.k8s.io|leases|masterleases)\// { next }
    /^"CreateRevision" : / { made = $3 > since + 0 }
    made && /^"CreateRevision" : / {
        split(key, part, "/")
        kind = part[1] ~ /[.]/ ? part[2] : part[1]
        kinds[kind]++
        keys[++total] = key
    }
    /^"ModRevision" : / && !made && $3 > since + 0 { changed++ }
    END {
        if (total <= 10) for (n = 1; n <= total; n++) print "made " keys[n]
        else for (kind in kinds) print "made " kinds[kind] " " kind
        if (changed) print "changed " changed
    }'
