#!/bin/sh
# Has the kubelet start what stop-control-plane.sh has ended, but only over the data of this restore.
# usage: start-control-plane.sh ID
set -eu
. "${0%/*}/shared/restore.sh"
folder=$(etcds_folder)
require_restored "$folder/member" "$1"
rmdir "$folder/kubefab-restore" 2>/dev/null || true # a swap-etcd.sh that was killed may have left it, empty
put_back
