#!/bin/sh
# Ends etcd's alarm about room, so that it takes writes again. etcdctl ends only all alarms at once: where there is
# another kind, none is ended.
set -eu
. "${0%/*}/shared/etcd.sh"
require_etcd
alarms=$(ask_etcd 10 --command-timeout 9s alarm list)
others=$(printf '%s\n' "$alarms" | grep . | grep -v 'alarm:NOSPACE') || true
[ -z "$others" ] || { printf 'there is another alarm, which nobody should silence: %s\n' "$others" >&2 && exit 1; }
ask_etcd 10 --command-timeout 9s alarm disarm
