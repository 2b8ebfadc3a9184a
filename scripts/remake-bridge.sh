#!/bin/sh
# Removes cni0, and ends the pods with addresses on it: the kubelet makes both anew, in the node's present subnet.
set -eu
. "${0%/*}/shared/contained.sh"
here=$(readlink /proc/self/ns/net)
for pause in $(contained pause); do
    # Docker may run one of somebody's, too, which no kubelet would start again.
    ! podded "$pause" || [ "$(readlink "/proc/$pause/ns/net")" = "$here" ] || kill "$pause"
done
ip link delete cni0
