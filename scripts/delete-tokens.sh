#!/bin/sh
# Deletes the tokens that were minted for a node, those of broken-off runs too. usage: delete-tokens.sh NODE
set -eu
. "${0%/*}/shared/unproxied.sh"
# Not into a pipe: where the API server gives no answer, nothing is deleted, and that is to be an error.
tokens=$(kubeadm token list --kubeconfig /etc/kubernetes/admin.conf)
while read -r token _ _ _ description _; do
    if [ "$description" = "kubefab:$1" ]; then
        kubeadm token delete "${token%%.*}" --kubeconfig /etc/kubernetes/admin.conf
    fi
done <<END
$tokens
END
