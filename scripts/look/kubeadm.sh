# shellcheck shell=sh
# What kubeadm keeps in the cluster for those who join it, and which of the keys that masters share are not here.
[ -e /etc/kubernetes/admin.conf ] || exit 0
for name in ca.crt ca.key front-proxy-ca.crt front-proxy-ca.key etcd/ca.crt etcd/ca.key sa.key sa.pub; do
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
