#!/bin/sh
# Lets the kubelet finish a join that was broken off, if kubeadm has given it all that it needs, and waits as long as
# kubeadm would. Afterwards the token is of no more use, whether the kubelet has joined or not.
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
