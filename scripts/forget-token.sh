#!/bin/sh
# Takes away what a join left that was broken off, and that its kubelet has finished: its token, then its marker.
set -eu
rm -f /etc/kubernetes/bootstrap-kubelet.conf /run/kubefab/discovery.conf /run/kubefab/discovery.conf.yaml
rm -f /var/lib/kubefab/join
