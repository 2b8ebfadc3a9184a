# shellcheck shell=sh
# Debian packages: which are there and held, whether dpkg was broken off, and who holds its lock.
dpkg-query -W -f 'package ${Package} ${db:Status-Abbrev} ${Version}\n' \
    kubelet kubeadm kubectl kubernetes-cni containerd containerd.io docker.io docker-ce bash-completion
dpkg --audit | while IFS= read -r line; do
    case $line in
        ' '*)
            # shellcheck disable=SC2086  # its first word is the package
            set -- $line
            echo "dpkg_broken $1"
            ;;
    esac
done

# apt and dpkg take POSIX locks; the kernel lists them by inode. (flock(1) would not see them.)
inodes=$(stat -c %i /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock)
while read -r _ _ _ _ pid device _; do
    for inode in $inodes; do
        if [ "${device##*:}" = "$inode" ] && read -r name <"/proc/$pid/comm"; then
            echo "apt_lock $name (process $pid)"
        fi
    done
done </proc/locks
