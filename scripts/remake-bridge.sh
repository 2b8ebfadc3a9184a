#!/bin/sh
# Takes cni0 away, with the pods that have an address of it: the kubelet makes both anew, in the subnet of now.
set -eu
here=$(readlink /proc/self/ns/net)
shims=$(pgrep --ns $$ --nslist pid -f '^[^ ]*/containerd-shim' | paste -sd,)
for pause in $(pgrep -P "$shims" -x pause || true); do
    [ "$(readlink "/proc/$pause/ns/net")" = "$here" ] || kill "$pause"
done
ip link delete cni0
