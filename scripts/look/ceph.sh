# shellcheck shell=sh
# rook's Ceph cluster: what of hosts.yml it was made of, and what its operator says of it.
[ -e /etc/kubernetes/admin.conf ] || exit 0
kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /run/kubefab/kubectl --request-timeout 5s \
    get cephclusters.ceph.rook.io --all-namespaces -o 'jsonpath={range .items[*]}ceph {.metadata.annotations.kubefab\.internal/ceph}|{.status.phase}|{.status.ceph.health}|{.status.message}{"\n"}{end}'
