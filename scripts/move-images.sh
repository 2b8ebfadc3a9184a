#!/bin/sh
# Container images in the runtime that the kubelet asks: the one place that knows each runtime's commands.
# usage: move-images.sh RUNTIME pull IMAGE | save IMAGE [NAME] (to standard output, for Docker under another name) |
# load FILE… | take FILE SHA256 (and delete it)
set -eu
runtime=$1 verb=$2
shift 2
. "${0%/*}/shared/proxied.sh"
if [ "$verb" = take ]; then
    trap 'rm -f "$1"' EXIT
    echo "$2  $1" | sha256sum --check --quiet
    verb=load
    set -- "$1"
fi
packed() { # packed COMMAND…: its output, compressed; it fails where the command does
    exec 4>&1
    failed=$({ { "$@" || echo yes >&3; } | gzip -1 >&4; } 3>&1)
    [ -z "$failed" ]
}
on_disk() { # else, after a power cut, an image is there, and its files are empty: containerd/containerd#5854
    store=/var/lib/containerd
    [ "$runtime" != docker ] || store=$(docker info --format '{{.DockerRootDir}}')
    sync -f "$store" || sync
}
# -f passes on what is not compressed.
case $runtime.$verb in
    containerd.pull)
        timeout 900 ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d "$1" >/dev/null
        on_disk
        ;;
    containerd.save) packed ctr -n k8s.io images export - "$1" ;;
    containerd.load) for file; do gzip -dcf "$file" | ctr -n k8s.io images import - || exit; on_disk; done ;;
    docker.pull)
        timeout 900 docker pull --quiet "$1"
        on_disk
        ;;
    docker.save)
        [ $# = 1 ] || docker tag "$1" "$2"
        packed docker save "${2-$1}"
        ;;
    docker.load) for file; do docker load --quiet --input "$file" || exit; on_disk; done ;;
    *) echo "$runtime has no $verb here" >&2 && exit 2 ;;
esac
