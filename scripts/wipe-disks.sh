#!/bin/sh
# Takes everything from disks: what Ceph wrote at their start and at its copies further on, and all signatures.
# usage: wipe-disks.sh DISK…
set -eu
for disk in "$@"; do
    name=$(basename "$(readlink -f "$disk")")
    if [ ! -b "$disk" ] || grep -q "^/dev/${name}[0-9p]* " /proc/mounts /proc/swaps; then
        echo "$disk is no disk that may be wiped: not there, or in use" >&2
        exit 1
    fi
done
if command -v dmsetup >/dev/null; then
    dmsetup ls | awk '/^ceph-/ { print $1 }' | xargs -r -n 1 dmsetup remove --force
fi
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
