#!/bin/sh
# Has kubeadm make the API server's certificate anew, with the names in its documents: one that is renewed has the names
# that it had. usage: remake-server-certificate.sh FOLDER    where the documents have it made, with a copy of the CA;
# standard input: kubeadm's documents
# The certificate goes first and comes last, so that one whose key is another's is never there.
set -eu
folder=$1 pki=/etc/kubernetes/pki
documents=$(mktemp /run/kubefab/renewal.XXXXXX)
trap 'rm -rf "$documents" "$folder"' EXIT
cat >"$documents"
rm -rf "$folder"
mkdir -m 0700 "$folder"
cp -p "$pki/ca.crt" "$pki/ca.key" "$folder"
kubeadm init phase certs apiserver --config "$documents"
sync "$folder/apiserver.key" "$folder/apiserver.crt"
rm -f "$pki/apiserver.crt"
sync "$pki"
mv "$folder/apiserver.key" "$pki/apiserver.key"
mv "$folder/apiserver.crt" "$pki/apiserver.crt"
sync "$pki"
