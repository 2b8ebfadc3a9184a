#!/bin/sh
# Runs on the computer at the end of mmdebstrap, with the new machine's root directory as $1.
set -eu
root=$1
chown -R 0:0 "$root/etc/sudoers.d" "$root/etc/fstab" "$root/etc/systemd"
chmod 440 "$root"/etc/sudoers.d/sudo*
for user in sudoer sudopass; do chroot "$root" useradd --create-home --shell /bin/bash "$user"; done
echo sudopass:lab | chroot "$root" chpasswd
for home in root home/sudoer home/sudopass; do
    mkdir -p "$root/$home/.ssh"
    chmod 700 "$root/$home/.ssh"
    chown --reference="$root/$home" "$root/$home/.ssh"
done
# What each machine has of its own is written when it is made (lab/vm.py).
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname" "$root/etc/hosts"
: >"$root/etc/machine-id"
chroot "$root" systemctl enable systemd-networkd systemd-resolved >/dev/null
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
