#!/bin/sh
# Has kubeadm bring this master to its own version: the static pods here, and what kubeadm keeps in the cluster. It waits
# for each pod, and puts the former manifests back where one does not come up.
# usage: upgrade.sh VERSION PATCHES COMMAND [FLAG…]    kubeadm's VERSION, installed first; the folder of somebody's patches,
# or ""; and what of `kubeadm upgrade`: `apply --yes` on the first master, `node` on the others; standard input: kubeadm's
# UpgradeConfiguration
set -eu
. "${0%/*}/shared/unproxied.sh"
. "${0%/*}/shared/proxied.sh"
. "${0%/*}/shared/upgrade.sh"
. "${0%/*}/shared/hasten.sh"
. "${0%/*}/shared/marks.sh"
take_kubeadm "$1" "$2"
shift 2
# shellcheck disable=SC2034  # hasten reads it
find_etcd "$(named ss -Hltnp)" || etcd=
before=$(mktemp -d /run/kubefab/manifests.XXXXXX)
# shellcheck disable=SC2154  # take_kubeadm sets $document
trap 'kill "${beside-}" 2>/dev/null || true; rm -rf "$document" "$before"' EXIT
[ ! -e /etc/kubernetes/manifests ] || cp -R /etc/kubernetes/manifests/. "$before"
hasten 9>&- & # without the change's lock, which it could hold after the change has ended
beside=$!
# Without the domains that only apt needs: kubeadm would write them into the control plane's manifests.
made_by env -u no_proxy kubeadm upgrade "$@" --config "$document"
