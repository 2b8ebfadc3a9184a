# shellcheck shell=sh
# as_admin ARG…: kubectl as the cluster's admin, on a master; $within runs it, where it is set.
. "${0%/*}/shared/unproxied.sh"
# Its discovery cache goes below /run: nothing is left in anybody's home.
within=
# shellcheck disable=SC2086 # they are words
as_admin() { $within kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /run/kubefab/kubectl "$@"; }
