# shellcheck shell=sh
# What kubeadm keeps in the cluster for those who join it, and which of the keys that masters share are not here.
. "${0%/*}/shared/pki.sh"
[ -e /etc/kubernetes/admin.conf ] || exit 0
for name in $(shared_keys); do
    [ -s "/etc/kubernetes/pki/$name" ] || fact "key_missing $name"
done
if answer=$(ask_api get configmap kubeadm-config --namespace kube-system --ignore-not-found \
    --output 'jsonpath={.data.ClusterConfiguration}' 2>/dev/null); then
    if [ -n "$answer" ]; then
        fact "configuration $(printf '%s' "$answer" | base64 -w 0)"
    else
        fact "configuration_missing yes"
    fi
fi
