#!/bin/sh
# Lets flannel begin anew: its subnet, and how the others reach this node, it learns and tells at its start alone.
set -eu
. "${0%/*}/shared/contained.sh"
rm -f /run/flannel/subnet.env
restart_contained flanneld
