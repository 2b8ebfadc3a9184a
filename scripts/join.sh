#!/bin/sh
# Joins the cluster. usage: join.sh DISCOVERY    standard input: the discovery kubeconfig, in base64 on a line
# of its own, then kubeadm's document, which names DISCOVERY
set -eu
# kubeadm would hand the login's own proxy on to the control plane; hosts.yml's alone is meant.
unset HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy
if [ -r /etc/default/kubefab-proxy ]; then
    set -a
    # shellcheck source=/dev/null
    . /etc/default/kubefab-proxy
    set +a
fi
umask 077
document=$1.yaml
trap 'rm -f "$1" "$document"' EXIT
read -r discovery
printf '%s' "$discovery" | base64 -d >"$1"
cat >"$document"
kubeadm config validate --config "$document"
umask 022
kubeadm join --config "$document"
