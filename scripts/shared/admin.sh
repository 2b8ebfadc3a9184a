# shellcheck shell=sh
# as_admin ARG…: kubectl as the cluster's admin, on a master.
. "${0%/*}/shared/unproxied.sh"
# Its discovery cache goes below /run: nothing is left in anybody's home.
as_admin() { kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /run/kubefab/kubectl "$@"; }
