#!/bin/sh
# Deletes the tokens that were minted for a node, those of broken-off runs too. usage: delete-tokens.sh NODE
set -eu
# The login's own proxy would stand between us and the API server.
unset HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy
# Not into a pipe: where the API server gives no answer, nothing is deleted, and that is to be an error.
tokens=$(kubeadm token list --kubeconfig /etc/kubernetes/admin.conf)
while read -r token _ _ _ description _; do
    if [ "$description" = "kubefab:$1" ]; then
        kubeadm token delete "${token%%.*}" --kubeconfig /etc/kubernetes/admin.conf
    fi
done <<END
$tokens
END
