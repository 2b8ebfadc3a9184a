#!/bin/sh
# Runs on the computer at the end of mmdebstrap, with the new machine's root directory as $1.
set -eu
root=$1
chown -R 0:0 "$root/usr/local" "$root/etc/sudoers.d" "$root/etc/fstab" "$root/etc/systemd"
chmod 755 "$root/usr/local/sbin/lab-init" "$root/usr/local/lib/kubefab-lab/runc"
chmod 440 "$root"/etc/sudoers.d/sudo*
for user in sudoer sudopass; do chroot "$root" useradd --create-home --shell /bin/bash "$user"; done
echo sudopass:lab | chroot "$root" chpasswd
rm -f "$root"/etc/ssh/ssh_host_*
: >"$root/etc/machine-id"
# No terminal and no second console here.
chroot "$root" systemctl mask console-getty.service getty.target >/dev/null
