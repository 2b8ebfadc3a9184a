#!/bin/sh
# Finishes what a broken-off apt or dpkg left half done.
set -eu
. "${0%/*}/shared/apt.sh"
fix() { # apt would take away what it finds no package for, and nobody was asked
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold --no-remove --fix-broken install "$@" </dev/null
}
# A package that lacks another one is left to apt.
dpkg --force-confold --configure -a </dev/null || :
# apt fixes a package that was half unpacked over an older one only if it is named; the package may be held by now.
# shellcheck disable=SC2046 # names
set -- $(dpkg-query -W -f '${db:Status-Eflag} ${Package}\n' | sed -n 's/^reinstreq //p')
[ $# = 0 ] || set -- --allow-change-held-packages --reinstall "$@"
fix "$@" || {
    refresh_lists
    fix "$@"
}
