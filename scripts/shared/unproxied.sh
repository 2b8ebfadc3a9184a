# shellcheck shell=sh
# The login's own proxy would stand between us and the API server, and kubeadm would hand it on to the control plane.
unset HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy
