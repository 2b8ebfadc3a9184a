#!/bin/sh
# Has kubeadm write this node's configuration for another version, and then installs that version's kubelet and kubectl:
# no kubelet starts with a configuration that is older than itself.
# usage: upgrade-kubelet.sh VERSION PATCHES    PATCHES: the user's folder, or ""; standard input: kubeadm's
# UpgradeConfiguration
set -eu
. "${0%/*}/shared/unproxied.sh"
. "${0%/*}/shared/marks.sh"
. "${0%/*}/shared/upgrade.sh"
take_kubeadm "$1" "$2"
# shellcheck disable=SC2154  # take_kubeadm sets it; no_proxy is what apt is told of
made_by env -u no_proxy kubeadm upgrade node --config "$document"
install_kubernetes "$1" kubelet kubectl kubernetes-cni
