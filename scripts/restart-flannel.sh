#!/bin/sh
# Lets flannel begin anew: its subnet, and how the others reach this node, it learns and tells at its start alone.
set -eu
rm -f /run/flannel/subnet.env
pkill -x flanneld || true # its container is started again
