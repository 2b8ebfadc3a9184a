#!/bin/sh
# Deletes the tokens that were minted for a node, those of broken-off runs too. usage: delete-tokens.sh NODE
set -eu
. "${0%/*}/shared/unproxied.sh"
# No pipe, which would hide the error where the API server does not answer, and nothing is deleted.
tokens=$(kubeadm token list --kubeconfig /etc/kubernetes/admin.conf)
while read -r token _ _ _ description _; do
    if [ "$description" = "kubefab:$1" ]; then
        kubeadm token delete "${token%%.*}" --kubeconfig /etc/kubernetes/admin.conf
    fi
done <<END
$tokens
END
