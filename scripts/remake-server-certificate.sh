#!/bin/sh
# Has kubeadm make the API server's certificate anew, with the names in its documents: one that is renewed has the names
# that it had. usage: remake-server-certificate.sh FOLDER    where the documents have it made; standard input: kubeadm's
# documents
# The certificate goes first and comes last, so that one whose key is another's is never there. Whoever finds none was cut
# off between the two, and the one in the folder is whole: it has names that nobody could tell any more.
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
