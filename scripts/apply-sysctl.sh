#!/bin/sh
# Sets the kernel's parameters as every boot does, without sysctl, which not every host has.
set -eu
while IFS=' =' read -r key value; do
    case $key in
        '' | \#*) ;;
        *) printf '%s\n' "$value" >"/proc/sys/$(printf '%s' "$key" | tr . /)" ;;
    esac
done </etc/sysctl.d/99-zz-kubernetes.conf
