# shellcheck shell=sh
# Whether the API server lets in whoever this host's kubelet is.
[ -e /etc/kubernetes/kubelet.conf ] || exit 0
said=$(ask_api --kubeconfig /etc/kubernetes/kubelet.conf get --raw /readyz 2>&1) || fact "refused ${said:-$(no_answer)}"
