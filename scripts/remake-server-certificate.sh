#!/bin/sh
# Has kubeadm remake the API server's certificate, with the names in its documents: a renewal would keep the former
# names. usage: remake-server-certificate.sh FOLDER    where the documents have it made; standard input: kubeadm's
# documents
# The certificate is removed first and put back last, so that it never stands beside another one's key. Where it is
# missing, a run was killed in between, and the one in FOLDER is whole: it has names that nothing else tells any more.
set -eu
folder=$1 pki=/etc/kubernetes/pki
put() {
    if [ -e "$folder/apiserver.key" ]; then mv "$folder/apiserver.key" "$pki/apiserver.key"; fi
    mv "$folder/apiserver.crt" "$pki/apiserver.crt"
    sync "$pki"
    rm -r "$folder"
}
if [ ! -e "$pki/apiserver.crt" ] && [ -e "$folder/apiserver.crt" ]; then
    put
    exit 0
fi
documents=$(mktemp /run/kubefab/renewal.XXXXXX)
trap 'rm -f "$documents"' EXIT
cat >"$documents"
rm -rf "$folder"
mkdir -m 0700 "$folder"
ln -s "$pki/ca.crt" "$pki/ca.key" "$folder"
if ! kubeadm init phase certs apiserver --config "$documents"; then
    rm -r "$folder"
    exit 1
fi
sync "$folder/apiserver.key" "$folder/apiserver.crt" "$folder"
rm -f "$pki/apiserver.crt"
sync "$pki"
put
