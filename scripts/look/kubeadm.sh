# shellcheck shell=sh
# What kubeadm keeps in the cluster for those who join it, and which of the keys that masters share are not here.
. "${0%/*}/shared/pki.sh"
[ -e /etc/kubernetes/admin.conf ] || exit 0
for name in $(shared_keys); do
    [ -s "/etc/kubernetes/pki/$name" ] || fact "key_missing $name"
done
# All of them by one question; what is between two of them is in no text. NAME.left: as kubefab has left it.
end=$(printf '\001')
kept() { # kept NAME: its text
    printf '%s' "$answer" | awk -v RS="$end" -v name="$1" 'index($0, name "\n") == 1 { printf "%s", substr($0, length(name) + 2) }'
}
told() { # told FACT NAME: true where there is something to tell
    text=$(kept "$2")
    [ -n "$text" ] && fact "$1 $(printf '%s' "$text" | base64 -w 0)"
}
if answer=$(ask_api get configmap kubeadm-config kubelet-config kube-proxy --namespace kube-system --ignore-not-found \
    --output "jsonpath={range .items[*]}{.metadata.name}{'\n'}{.data.ClusterConfiguration}{.data.kubelet}{.data.config\.conf}$end\
{.metadata.name}{'.left\n'}{.metadata.annotations.kubefab\.internal/left}$end{end}" \
    2>/dev/null); then
    told configuration kubeadm-config || fact "configuration_missing yes"
    told kubelets kubelet-config
    told proxies kube-proxy
    told proxies_left kube-proxy.left
fi
