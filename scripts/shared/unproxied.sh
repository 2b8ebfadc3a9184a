# shellcheck shell=sh
# Without the login's proxy: it would stand between us and the API server, and kubeadm would write it into manifests.
unset HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy
