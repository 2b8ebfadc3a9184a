# shellcheck shell=sh
# Block devices, by each of their names, and what is on them; whether the kernel can mount Ceph's.
lvm_on() { # lvm_on DISK: whose the volumes of its group are
    group=$(timeout 10 pvs --readonly --noheadings -o vg_name "$1" | tr -d ' ')
    tags=${group:+$(timeout 10 lvs --readonly --noheadings -o lv_tags "$group")}
    if [ -z "$tags" ] || printf '%s\n' "$tags" | grep -qv 'ceph\.osd_id='; then
        echo LVM2_member
    else
        echo "Ceph's"
    fi
}
unsigned() { # unsigned NAME: what nobody uses, or who does
    # blkid of util-linux 2.41, as Debian 13 has it, says of several things the same as of none.
    if ! signed=$(timeout 10 wipefs --parsable "/dev/$1" 2>&1); then
        echo "wipefs does not tell what is on it"
    elif [ -n "$signed" ]; then
        echo "several signatures"
    else
        held=$(ls "/sys/class/block/$1/holders") && echo "${held:+held by }${held:-empty}"
    fi
}
state() { # state NAME
    if [ "$(cat "/sys/class/block/$1/size")" = 0 ]; then
        echo "no medium"
    elif grep -q "^/dev/$1 " /proc/mounts /proc/swaps; then
        echo "in use"
    elif [ -n "$(ls -d "/sys/class/block/$1/"*/partition)" ]; then
        echo "partitions"
    elif ! head -c 4096 "/dev/$1" >/dev/null; then
        echo "not to be read"
    else
        found=$(timeout 10 blkid -p -o value -s TYPE -s PTTYPE "/dev/$1")
        # 2: there is nothing. All else, a doubt as well, is something.
        case $?.$found in
            0.ceph_bluestore) echo "Ceph's" ;;
            0.LVM2_member) lvm_on "/dev/$1" ;;
            0.) echo "a partition, and no whole disk" ;; # of which blkid tells its entry in the table
            0.*) echo "$found" | tr '\n' ' ' ;;
            2.*) unsigned "$1" ;;
            8.*) echo "several signatures" ;;
            *) echo "blkid does not tell what is on it" ;;
        esac
    fi
}
links=$(find /dev/disk/by-id /dev/disk/by-path -type l -printf '%l %p\n')
for device in /sys/class/block/*; do
    name=${device##*/}
    case $name in ram* | zram* | sr* | fd*) continue ;; esac
    found=$(state "$name")
    printf '%s\n' "/$name /dev/$name" "$links" | while read -r target path; do
        [ "${target##*/}" != "$name" ] || [ ! -b "$path" ] || fact "disk $path $found"
    done
done
if [ -d /sys/module/rbd ] || [ -d /sys/bus/rbd ] || modprobe -n -q rbd; then
    fact "rbd yes"
fi
