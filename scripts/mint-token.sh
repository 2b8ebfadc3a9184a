#!/bin/sh
# Prints a new bootstrap token that lives a quarter of an hour, and the cluster's CA in base64.
set -eu
kubeadm token create --ttl 15m --description 'kubefab: one join' --kubeconfig /etc/kubernetes/admin.conf
base64 -w0 /etc/kubernetes/pki/ca.crt
