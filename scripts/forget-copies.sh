#!/bin/sh
# Removes the copies that kubeadm's upgrades have left.
set -eu
. "${0%/*}/shared/copies.sh"
kubeadm_copies | while read -r copy; do rm -rf "$copy"; done
