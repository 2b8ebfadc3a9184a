#!/bin/sh
# Gives the control plane's name an address in /etc/hosts. usage: set-endpoint.sh ADDRESS NAME
set -eu
others=$(grep -vE "[[:space:]]$2([[:space:]]|\$)" /etc/hosts || true)
# Written in place: where /etc/hosts is a mount, as in a container, it cannot be replaced.
printf '%s\n%s %s\n' "$others" "$1" "$2" >/etc/hosts
