#!/bin/sh
# Takes away what kubeadm's upgrades have copied and left behind.
set -eu
. "${0%/*}/shared/copies.sh"
kubeadm_copies | while read -r copy; do rm -rf "$copy"; done
