#!/bin/sh
# Removes the SSH login's ~/.kube/config.
set -eu
entry=$(getent passwd "${SUDO_USER:-root}")
home=$(echo "$entry" | cut -d: -f6)
rm -f "$home/.kube/config"
