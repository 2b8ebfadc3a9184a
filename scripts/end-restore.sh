#!/bin/sh
# Removes the marker of a restore that is done.
set -eu
rm -f /var/lib/kubefab/restore
sync /var/lib/kubefab
rmdir /var/lib/kubefab 2>/dev/null || true
