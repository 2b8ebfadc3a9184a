#!/bin/sh
# Lets the kubelet end a join that was broken off, where kubeadm has given it all that it needs, and waits for it as
# kubeadm would. After that the token is of no use any more, whether the kubelet has joined or not.
set -eu
if [ -e /etc/kubernetes/bootstrap-kubelet.conf ] && [ -e /var/lib/kubelet/config.yaml ]; then
    systemctl restart kubelet
    seconds=60
    until [ -e /etc/kubernetes/kubelet.conf ] || [ $seconds = 0 ]; do
        sleep 1
        seconds=$((seconds - 1))
    done
fi
rm -f /etc/kubernetes/bootstrap-kubelet.conf /run/kubefab/discovery.conf /run/kubefab/discovery.conf.yaml
