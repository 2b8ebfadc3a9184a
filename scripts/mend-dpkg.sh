#!/bin/sh
# Finishes what a broken-off apt or dpkg left half done.
set -eu
export DEBIAN_FRONTEND=noninteractive
dpkg --force-confold --configure -a </dev/null
apt-get -q -y -o DPkg::Lock::Timeout=600 --fix-broken install </dev/null
