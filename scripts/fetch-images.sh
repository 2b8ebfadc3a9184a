#!/bin/sh
# Starts fetching images in the background, as the transient unit kubefab-images; no run waits for it.
# usage: fetch-images.sh VERSION PATTERN IMAGE…    of the images that kubeadm names, those like PATTERN (none
# where it is empty), and IMAGEs
set -eu
systemctl reset-failed kubefab-images 2>/dev/null || true
# shellcheck disable=SC2016  # expanded by the unit's own shell
exec systemd-run --quiet --collect --unit=kubefab-images --property=Nice=10 \
    --property=EnvironmentFile=-/etc/default/kubefab-proxy /bin/sh -c '
    named=
    [ -z "$2" ] || named=$(kubeadm config images list --kubernetes-version "v$1" | grep -E "$2")
    shift 2
    for attempt in 1 2 3; do
        failed=
        for image in $named "$@"; do
            [ -n "$(ctr -n k8s.io images ls -q "name==$image")" ] ||
                ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d "$image" >/dev/null || failed=yes
        done
        [ -n "$failed" ] || exit 0
        sleep 10
    done
    exit 1' fetch-images "$@"
