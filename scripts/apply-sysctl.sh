#!/bin/sh
# Tells the kernel what it is told at every boot. Not every host has sysctl.
set -eu
while IFS=' =' read -r key value; do
    case $key in
        '' | \#*) ;;
        *) printf '%s\n' "$value" >"/proc/sys/$(printf '%s' "$key" | tr . /)" ;;
    esac
done </etc/sysctl.d/99-zz-kubernetes.conf
