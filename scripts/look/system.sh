# shellcheck shell=sh
# The machine itself: what kubeadm will ask of it, and what Kubernetes wants switched off.
# Files are read with the shell's own `read`: a fork of cat costs a millisecond, and there would be dozens.
first_line() {
    line=
    [ ! -r "$1" ] || IFS= read -r line <"$1"
    printf '%s' "$line"
}

while IFS='=' read -r name value; do
    value=${value#\"}
    case $name in
        ID) echo "os ${value%\"}" ;;
        VERSION_ID) echo "os_version ${value%\"}" ;;
    esac
done </etc/os-release

echo "arch $(uname -m)"
echo "kernel $(uname -r)"
echo "cpus $(nproc)"
while read -r name value _; do
    case $name in MemTotal:) echo "memory_mib $((value / 1024))" ;; esac
done </proc/meminfo
echo "hostname $(first_line /proc/sys/kernel/hostname)"
echo "machine_id $(first_line /etc/machine-id)"
echo "product_uuid $(first_line /sys/class/dmi/id/product_uuid)"
ip -o -4 addr show scope global | while read -r _ interface _ address _; do
    echo "address ${address%/*} $interface"
done
echo "clock $(date +%s.%N)"
echo "cgroups $(stat -f -c %T /sys/fs/cgroup)"
stat -f -c '%a %S' /var/lib | while read -r blocks size; do
    echo "disk_mib $((blocks * size / 1048576))"
done
for command in ip mount; do
    command -v "$command" >/dev/null || echo "lacks $command"
done

# On now, and what would bring it back at the next boot: fstab, units (gpt-auto and zram-generator
# make theirs below /run), and the two daemons that swap on by themselves.
while read -r device kind size _; do
    [ "$kind" = Type ] || echo "swap $device, $((size / 1024)) MiB"
done </proc/swaps
while read -r device _ kind _; do
    case $device in \#*) ;; *) [ "$kind" != swap ] || echo "swap_later $device in /etc/fstab" ;; esac
done </etc/fstab
for unit in /run/systemd/generator*/*.swap /etc/systemd/system/*.swap /usr/lib/systemd/system/*.swap; do
    name=${unit##*/}
    [ ! -e "$unit" ] || [ "$(readlink "/etc/systemd/system/$name")" = /dev/null ] || echo "swap_later $name"
done
for daemon in zramswap dphys-swapfile; do
    [ ! -e "/etc/systemd/system/multi-user.target.wants/$daemon.service" ] || echo "swap_later $daemon.service"
done

# Ask for the ability, not for lsmod: containers and custom kernels have it built in.
while read -r _ filesystem; do
    [ "$filesystem" != overlay ] || echo "module overlay"
done </proc/filesystems
[ ! -d /proc/sys/net/bridge ] || echo "module br_netfilter"
for key in net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables net.ipv4.ip_forward; do
    rest=${key#*.}
    echo "sysctl $key $(first_line "/proc/sys/${key%%.*}/${rest%%.*}/${rest#*.}")"
done
set -f # a name is no pattern
while read -r address names; do
    case $address in \#*) continue ;; esac
    case $names in *.kubefab.internal*) ;; *) continue ;; esac
    for name in ${names%%#*}; do
        echo "endpoint $name $address"
    done
done </etc/hosts
