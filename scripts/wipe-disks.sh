#!/bin/sh
# Wipes disks that are Ceph's or empty: Ceph's volumes, what it wrote at a disk's start and in copies further on, and
# all signatures. If one of them holds anything else, or is in use, none is wiped.
# usage: wipe-disks.sh DISK…
set -eu
refuse() { # refuse DISK WHY
    echo "$1 is not wiped: $2" >&2
    exit 1
}
volumes() { # volumes DISK: those of its LVM group, a line each: path and tags
    group=$(pvs --noheadings -o vg_name "$(readlink -f "$1")" | tr -d ' ')
    [ -z "$group" ] || lvs --noheadings -o lv_path,lv_tags "$group"
}
is_cephs_or_empty() { # is_cephs_or_empty DISK
    [ -b "$1" ] || refuse "$1" "there is no such disk"
    # blkid says the same of a disk that it cannot read as of an empty one.
    head -c 4096 "$1" >/dev/null || refuse "$1" "it cannot be read"
    status=0
    found=$(blkid -p -o value -s TYPE -s PTTYPE "$1" 2>/dev/null) || status=$?
    case $status.$found in
        # blkid of util-linux 2.41, as in Debian 13, says the same of several signatures as of none.
        2.*) signed=$(wipefs --parsable "$1" 2>&1) && [ -z "$signed" ] || refuse "$1" "it holds several things" ;;
        0.ceph_bluestore) ;;
        0.LVM2_member)
            all=$(volumes "$1")
            [ -n "$all" ] || refuse "$1" "it is LVM's, and of which volumes cannot be told"
            ! others=$(printf '%s\n' "$all" | grep -v 'ceph\.osd_id=') || refuse "$1" "it holds$others"
            ;;
        0.) refuse "$1" "it is a partition, and no whole disk" ;; # of which blkid tells its entry in the table
        0.*) refuse "$1" "it holds $(echo "$found" | tr '\n' ' ')" ;;
        *) refuse "$1" "it holds several things" ;;
    esac
}
for disk; do
    is_cephs_or_empty "$disk"
done
for disk; do
    [ "$(blkid -p -o value -s TYPE "$disk")" != LVM2_member ] || volumes "$disk" | while read -r path _; do
        lvchange --activate n "$path"
    done
done
# Without --force it opens a disk for itself alone (O_EXCL), which the kernel grants to nobody while it is in use.
for disk; do
    wipefs --all --no-act "$disk" >/dev/null
done
for disk; do
    wipefs --all "$disk"
    size=$(blockdev --getsize64 "$disk")
    for gibibytes in 0 1 10 100 1000; do
        start=$((gibibytes * 1024 * 1024 * 1024))
        [ "$start" -ge "$size" ] || dd if=/dev/zero of="$disk" bs=1024 seek=$((start / 1024)) count=200 conv=notrunc,fsync
    done
    blkdiscard "$disk" 2>/dev/null || true # not every disk can
    blockdev --rereadpt "$disk" 2>/dev/null || true
done
