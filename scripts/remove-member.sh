#!/bin/sh
# Removes a member of etcd, through the etcd of this host. usage: remove-member.sh ID    in hexadecimal
# A member that is gone already is no failure, and etcd's "removed" alone is no proof: what counts is the list that a
# quorum tells afterwards. Where the leader is removed, that answers only once a new one is elected.
set -eu
. "${0%/*}/shared/etcd.sh"
require_etcd
# As etcdctl prints it.
id=$(printf '%s' "${1#0x}" | tr A-F a-f | sed 's/^0*//')
case $id in "" | *[!0-9a-f]*) echo "found $1; allowed: a member's id in hexadecimal" >&2 && exit 1 ;; esac
# Until a member has been connected for 5 s (HealthInterval, server/etcdserver/server.go), etcd does not count it among
# those that stay: right after the start of one it refuses.
tries=15
until said=$(ask_etcd 15 --command-timeout 10s member remove "$id" 2>&1); do
    tries=$((tries - 1))
    case $said in *"unhealthy cluster"*) [ $tries != 0 ] || break ;; *) break ;; esac
    sleep 1
done
tries=5
until members=$(ask_etcd 10 --command-timeout 5s member list --write-out simple 2>&1); do
    tries=$((tries - 1))
    [ $tries != 0 ] || { printf '%s\n' "$said" "its etcd does not say who its members are: $members" >&2 && exit 1; }
    sleep 1
done
if printf '%s\n' "$members" | grep -q "^$id,"; then
    printf '%s\n' "$said" "it is a member still: $id" >&2
    exit 1
fi
