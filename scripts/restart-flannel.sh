#!/bin/sh
# Lets flannel begin anew: its subnet, and how the others reach this node, it learns and tells at its start alone.
set -eu
. "${0%/*}/shared/contained.sh"
rm -f /run/flannel/subnet.env
for flanneld in $(contained flanneld); do
    # The kubelet's containers alone are in such a control group, and are started again.
    ! grep -q kubepods "/proc/$flanneld/cgroup" || kill "$flanneld"
done
