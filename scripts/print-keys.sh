#!/bin/sh
# Prints what of a control plane no snapshot of etcd brings back, a line each: its name, and its content in base64.
set -eu
. "${0%/*}/shared/etcd.sh"
. "${0%/*}/shared/keys.sh"
print_keys
