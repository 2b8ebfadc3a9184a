#!/bin/sh
# Restarts flannel: only at its start does it learn its subnet, and tell the others how to reach this node.
set -eu
. "${0%/*}/shared/contained.sh"
rm -f /run/flannel/subnet.env
restart_contained flanneld
