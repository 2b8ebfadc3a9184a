#!/bin/sh
# Joins the cluster. usage: join.sh DISCOVERY    standard input: the discovery kubeconfig, in base64 on a line
# of its own, then kubeadm's document, which names DISCOVERY
set -eu
umask 077
document=$1.yaml
trap 'rm -f "$1" "$document"' EXIT
read -r discovery
printf '%s' "$discovery" | base64 -d >"$1"
cat >"$document"
kubeadm config validate --config "$document"
umask 022
kubeadm join --config "$document"
