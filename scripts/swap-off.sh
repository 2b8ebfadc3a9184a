#!/bin/sh
# Swap off, and off after every boot: fstab, units (zram-generator and gpt-auto make theirs below /run),
# and the daemons that swap on by themselves.
set -eu
if [ -e /etc/fstab ]; then # images of gpt-auto's have none
    cp -p /etc/fstab /etc/fstab.kubefab
    sed -E 's/^([[:space:]]*[^#[:space:]]+[[:space:]]+[^[:space:]]+[[:space:]]+swap([[:space:]]|$))/# switched off by kubefab: \1/' \
        /etc/fstab >/etc/fstab.kubefab
    sync /etc/fstab.kubefab
    mv /etc/fstab.kubefab /etc/fstab
    sync /etc
fi
systemctl daemon-reload
for unit in /run/systemd/generator*/*.swap /etc/systemd/system/*.swap /usr/lib/systemd/system/*.swap; do
    name=${unit##*/}
    if [ -e "$unit" ] && [ "$(readlink -f "/etc/systemd/system/$name")" != /dev/null ]; then
        # A unit that somebody wrote here is in the place of the mask.
        written=/etc/systemd/system/$name
        kept=$written.before-kubefab
        [ ! -e "$kept" ] || kept=$kept-$(date +%s.%N)
        [ ! -f "$written" ] || mv "$written" "$kept"
        systemctl mask --now "$name"
    fi
done
for daemon in zramswap dphys-swapfile; do
    if [ -e "/etc/systemd/system/multi-user.target.wants/$daemon.service" ]; then
        systemctl disable --now "$daemon"
    fi
done
# Machines that share a kernel share its swap: another one may be switching it off just now.
swapoff -a || timeout 5 sh -c 'while grep -q ^/ /proc/swaps; do sleep 0.2; done'
