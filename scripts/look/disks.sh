# shellcheck shell=sh
# Block devices, by each of their names, and what is on them; whether the kernel can mount Ceph's.
state() { # state NAME
    if [ "$(cat "/sys/class/block/$1/size")" = 0 ]; then
        echo "no medium"
    elif grep -q "^/dev/$1 " /proc/mounts /proc/swaps; then
        echo "in use"
    elif [ -n "$(ls "/sys/class/block/$1/holders")" ]; then
        echo "held by $(ls "/sys/class/block/$1/holders")"
    elif [ -n "$(ls -d "/sys/class/block/$1/"*/partition)" ]; then
        echo "partitions"
    elif ! head -c 4096 "/dev/$1" >/dev/null; then
        echo "not to be read"
    else
        found=$(blkid -p -o value -s TYPE -s PTTYPE "/dev/$1")
        # 2: there is nothing. All else, a doubt as well, is something.
        case $? in
            0) echo "${found:-something}" | tr '\n' ' ' ;;
            2) echo empty ;;
            *) echo "several signatures" ;;
        esac
    fi
}
for path in /dev/disk/by-id/* /dev/disk/by-path/* /sys/class/block/*; do
    name=$(basename "$(readlink -f "$path")")
    case $name in ram* | zram* | sr* | fd*) continue ;; esac
    case $path in /sys/*) path=/dev/$name ;; esac
    [ ! -b "$path" ] || fact "disk $path $(state "$name")"
done
if [ -d /sys/module/rbd ] || [ -d /sys/bus/rbd ] || modprobe -n -q rbd; then
    fact "rbd yes"
fi
