#!/bin/sh
# Starts fetching images in the background, as the transient unit kubefab-images; no run waits for it. Where it fails,
# the unit stays as failed. With --wait this waits for its end, and says why an image cannot be had.
# usage: fetch-images.sh [--wait] RUNTIME REPOSITORY VERSION PATTERN IMAGE…    RUNTIME: containerd or docker; of the
# images that kubeadm names in REPOSITORY, those like PATTERN (none where it is empty), and IMAGEs
set -eu
wait=
if [ "$1" = --wait ]; then
    shift
    wait="--wait --pipe"
    while systemctl --quiet is-active kubefab-images; do sleep 1; done
fi
systemctl reset-failed kubefab-images 2>/dev/null || true
# shellcheck disable=SC2016,SC2086  # expanded by the unit's own shell; words
exec systemd-run --quiet $wait --unit=kubefab-images --property=Nice=10 \
    --property=EnvironmentFile=-/etc/default/kubefab-proxy /bin/sh -c '
    if [ "$1" = docker ]; then
        there() { docker image inspect "$1"; }
        pull() { timeout -k 10 900 docker pull "$1"; }
        store=$(docker info --format "{{.DockerRootDir}}")
    else
        there() { [ -n "$(ctr -n k8s.io images ls -q "name==$1")" ]; }
        pull() { timeout -k 10 900 ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d "$1"; }
        store=/var/lib/containerd
    fi
    named=
    if [ -n "$4" ]; then
        named=$(kubeadm config images list --image-repository "$2" --kubernetes-version "v$3") || exit 1
        named=$(printf "%s\n" "$named" | grep -E "$4") || exit 1
    fi
    shift 4
    for attempt in 1 2 3; do
        failed=
        for image in $named "$@"; do
            # After a power cut an image would be there, and its files empty: containerd/containerd#5854
            there "$image" >/dev/null 2>&1 || { pull "$image" >/dev/null && sync -f "$store"; } || case $? in
                124 | 137) # nor would the others come; and until its pull ends, the kubelet gets no layer of it either
                    echo "$image: not here after 900 s; is its registry silent, or the line too slow?" >&2
                    exit 1
                    ;;
                *) failed=yes ;;
            esac
        done
        [ -n "$failed" ] || exit 0
        sleep 10
    done
    exit 1' fetch-images "$@"
