#!/bin/sh
# Prints a kubeconfig for a kubelet, with a new key and a certificate that the cluster's CA here has signed: no API server
# has to answer. usage: sign-kubelet.sh COMMAND NAME    kubeadm's for it; NAME: system:node: and the node's name;
# standard input: kubeadm's documents
set -eu
# shellcheck disable=SC2086  # its words
kubeadm $1 --config /dev/stdin --client-name "$2" --org system:nodes
