# shellcheck shell=sh
# The machine itself: what kubeadm will ask of it, and what Kubernetes wants switched off.
# Files are read with the shell's own `read`: a fork of cat costs a millisecond, and there would be dozens. It fails at a last
# line that nothing ends, and has read it; where a file cannot be read, bash's leaves what was read before.
first_line() {
    line=
    [ ! -r "$1" ] || IFS= read -r line <"$1"
    printf '%s' "$line"
}

while name= && IFS='=' read -r name value || [ -n "$name" ]; do
    value=${value#\"}
    case $name in
        ID) fact "os ${value%\"}" ;;
        VERSION_ID) fact "os_version ${value%\"}" ;;
    esac
done </etc/os-release

fact "arch $(uname -m)"
fact "kernel $(uname -r)"
unset OMP_NUM_THREADS OMP_THREAD_LIMIT # which nproc heeds, and kubeadm does not
fact "cpus $(nproc)"
while read -r name value _; do
    case $name in MemTotal:) fact "memory_mib $((value / 1024))" ;; esac
done </proc/meminfo
fact "hostname $(first_line /proc/sys/kernel/hostname)"
fact "machine_id $(first_line /etc/machine-id)"
! has ip || silent=addresses_untold heard ip -o -4 addr show scope global | while read -r _ interface _ address _; do
    fact "address ${address%/*} $interface"
done
fact "clock $(date +%s.%N)"
fact "cgroups $(stat -f -c %T /sys/fs/cgroup)"
stat -f -c '%a %b %S' /var/lib | while read -r free total size; do
    fact "disk_mib $((free * size / 1048576))"
    fact "disk_total_mib $((total * size / 1048576))"
done
for command in ip mount pgrep; do
    has "$command" || fact "lacks $command"
done
# An installer that was here before leaves its own; whatever is called by name would be those.
for command in kubeadm kubelet kubectl containerd ctr docker; do
    for folder in /usr/local/sbin /usr/local/bin; do
        [ ! -e "$folder/$command" ] || [ "$folder/$command" -ef "/usr/bin/$command" ] || fact "shadowing $folder/$command"
    done
done

# On now, and what would bring it back at the next boot: fstab, units (gpt-auto and zram-generator
# make theirs below /run), and the two daemons that swap on by themselves.
while read -r device kind size _; do
    [ "$kind" = Type ] || fact "swap $device, $((size / 1024)) MiB"
done </proc/swaps
while device= && read -r device _ kind _ || [ -n "$device" ]; do
    case $device in \#*) ;; *) [ "$kind" != swap ] || fact "swap_later $device in /etc/fstab" ;; esac
done </etc/fstab
for unit in /run/systemd/generator*/*.swap /etc/systemd/system/*.swap /usr/lib/systemd/system/*.swap; do
    name=${unit##*/}
    [ ! -e "$unit" ] || [ "$(readlink "/etc/systemd/system/$name")" = /dev/null ] || fact "swap_later $name"
done
for daemon in zramswap dphys-swapfile; do
    [ ! -e "/etc/systemd/system/multi-user.target.wants/$daemon.service" ] || fact "swap_later $daemon.service"
done

# Ask for the ability, not for lsmod: containers and custom kernels have it built in.
able() { # able MODULE
    case $1 in
        overlay) grep -qw overlay /proc/filesystems ;;
        br_netfilter) [ -d /proc/sys/net/bridge ] ;;
        *) [ -d "/sys/module/$1" ] ;;
    esac
}
for module in $MODULES; do
    ! able "$module" || fact "module $module"
done
for key in $SYSCTLS; do
    path=
    rest=$key
    while [ "$rest" != "${rest#*.}" ]; do
        path=$path/${rest%%.*}
        rest=${rest#*.}
    done
    fact "sysctl $key $(first_line "/proc/sys$path/$rest")"
done
# What sorts behind our own file wins at every boot.
for file in /etc/sysctl.d/*.conf /run/sysctl.d/*.conf /usr/local/lib/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf; do
    # shellcheck disable=SC3012  # Debian's sh has it
    [ -r "$file" ] && [ "${file##*/}" \> 99-zz-kubernetes.conf ] || continue
    while key= && IFS='= 	' read -r key value || [ -n "$key" ]; do
        case ${key#-} in net?bridge?bridge-nf-call-* | net?ipv4?ip_forward | net?ipv4?conf?all?forwarding) ;; *) continue ;; esac
        fact "sysctl_later $file ${key#-}=$value"
    done <"$file"
done
set -f # a name is no pattern
while address= && read -r address names || [ -n "$address" ]; do
    case $address in \#*) continue ;; esac
    case $names in *.kubefab.internal*) ;; *) continue ;; esac
    for name in ${names%%#*}; do
        fact "endpoint $name $address"
    done
done </etc/hosts
