#!/bin/sh
# Downloads the Kubernetes packages at one version, and installs none of them.
# usage: fetch-kubernetes.sh VERSION
set -eu
. "${0%/*}/shared/kubernetes.sh"
list_kubernetes
get_kubernetes "$1" --download-only kubelet kubeadm kubectl kubernetes-cni
