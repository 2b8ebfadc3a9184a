#!/bin/sh
# Takes away what kubeadm's upgrades have copied, etcd's data among it, and leave behind.
set -eu
rm -rf /etc/kubernetes/tmp/kubeadm-backup-etcd-* /etc/kubernetes/tmp/kubeadm-backup-manifests-* \
    /etc/kubernetes/tmp/kubeadm-upgraded-manifests* /etc/kubernetes/tmp/kubeadm-kubelet-config* \
    /etc/kubernetes/tmp/kubeadm-kubelet-env*
