#!/bin/sh
# Prints the manifests that kubeadm would write for static pods, NAME and base64 a line, and changes none.
# usage: render-manifests.sh NAME:PHASE…    PHASE: kubeadm's for it; standard input: kubeadm's documents
set -eu
. "${0%/*}/shared/unproxied.sh"
. "${0%/*}/shared/proxied.sh"
. "${0%/*}/shared/rendered.sh"
umask 077
mkdir -p /run/kubefab
folder=$(mktemp -d /run/kubefab/manifests.XXXXXX)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/document"
mkdir "$folder/rendered"
for one; do
    render "$folder/rendered" "$folder/document" "${one#*:}" >&2
    echo "${one%%:*} $(base64 -w 0 "$folder/rendered/${one%%:*}.yaml")"
done
