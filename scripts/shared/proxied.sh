# shellcheck shell=sh
# Sets the proxy that hosts.yml names.
if [ -r /etc/default/kubefab-proxy ]; then
    set -a
    . /etc/default/kubefab-proxy
    set +a
fi
