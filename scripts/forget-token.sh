#!/bin/sh
# Takes away what a join that was broken off left of its token.
set -eu
rm -f /etc/kubernetes/bootstrap-kubelet.conf /run/kubefab/discovery.conf /run/kubefab/discovery.conf.yaml
