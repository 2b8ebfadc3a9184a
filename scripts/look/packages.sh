# shellcheck shell=sh
# Debian packages: which are there and held, whether dpkg was broken off, and who holds its lock.
dpkg-query -W -f 'package ${Package} ${db:Status-Abbrev} ${Version}\n' \
    kubelet kubeadm kubectl kubernetes-cni containerd containerd.io docker.io docker-ce bash-completion
# By their states: `dpkg --audit` also names what nobody can mend, as a vendor's package without md5sums.
dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' |
    sed -n -e 's/^.[HUFWt]. /dpkg_broken /p' -e 's/^..R /dpkg_broken /p'

# apt and dpkg take POSIX locks; the kernel lists them by inode. (flock(1) would not see them.)
inodes=$(stat -c %i /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock)
while read -r _ _ _ _ pid device _; do
    for inode in $inodes; do
        if [ "${device##*:}" = "$inode" ] && read -r name <"/proc/$pid/comm"; then
            fact "apt_lock $name (process $pid)"
        fi
    done
done </proc/locks
