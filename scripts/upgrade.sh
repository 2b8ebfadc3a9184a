#!/bin/sh
# Has kubeadm bring this master to its own version: the static pods here, and what kubeadm keeps in the cluster. It waits
# for each pod, and puts the former manifests back where one does not come up.
# usage: upgrade.sh VERSION COMMAND [FLAG…]    kubeadm's VERSION, installed first; and what of `kubeadm upgrade`:
# `apply --yes` on the first master, `node` on the others; standard input: kubeadm's UpgradeConfiguration
set -eu
. "${0%/*}/shared/unproxied.sh"
. "${0%/*}/shared/proxied.sh"
. "${0%/*}/shared/upgrade.sh"
take_kubeadm "$1"
shift
# shellcheck disable=SC2154  # take_kubeadm sets it
kubeadm upgrade "$@" --config "$document"
