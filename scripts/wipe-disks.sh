#!/bin/sh
# Takes everything from disks: what Ceph wrote at their start and at its copies further on, and all signatures.
# A disk in use is refused: mounted, swapped on, or below LVM, LUKS or RAID. Ceph's own mappings of it go.
# usage: wipe-disks.sh DISK…
set -eu
holders() { # holders DISK: what the disk and its partitions are held by, each by its name
    name=$(basename "$(readlink -f "$1")")
    for holder in "/sys/class/block/$name/holders"/* "/sys/class/block/$name/$name"*/holders/*; do
        [ ! -e "$holder" ] || cat "$holder/dm/name" 2>/dev/null || basename "$holder"
    done | sort -u
}
for disk in "$@"; do
    name=$(basename "$(readlink -f "$disk")")
    if [ ! -b "$disk" ] || grep -q "^/dev/${name}[0-9p]* " /proc/mounts /proc/swaps; then
        echo "$disk is no disk that may be wiped: not there, or in use" >&2
        exit 1
    fi
    if others=$(holders "$disk" | grep -v '^ceph-'); then
        echo "$disk is in use, by" "$others" >&2
        exit 1
    fi
done
for disk in "$@"; do
    holders "$disk" | xargs -r -n 1 dmsetup remove --force
done
for disk in "$@"; do
    wipefs --all --force "$disk"
    size=$(blockdev --getsize64 "$disk")
    for gibibytes in 0 1 10 100 1000; do
        start=$((gibibytes * 1024 * 1024 * 1024))
        [ "$start" -ge "$size" ] || dd if=/dev/zero of="$disk" bs=1024 seek=$((start / 1024)) count=200 conv=notrunc,fsync
    done
    blkdiscard "$disk" 2>/dev/null || true # not every disk can
    blockdev --rereadpt "$disk" 2>/dev/null || true
done
