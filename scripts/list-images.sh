#!/bin/sh
# Prints the images that kubeadm asks for. usage: list-images.sh    standard input: the documents of kubeadm init
set -eu
umask 077
documents=$(mktemp)
trap 'rm -f "$documents"' EXIT
cat >"$documents"
kubeadm config images list --config "$documents"
