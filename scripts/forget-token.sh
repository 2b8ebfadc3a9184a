#!/bin/sh
# Removes what is left of a join that was broken off and that the kubelet has finished: the token, then the marker.
set -eu
rm -f /etc/kubernetes/bootstrap-kubelet.conf /run/kubefab/discovery.conf /run/kubefab/discovery.conf.yaml
rm -f /var/lib/kubefab/join
