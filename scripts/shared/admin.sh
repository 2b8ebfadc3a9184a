# shellcheck shell=sh
# as_admin ARG…: kubectl as the cluster's admin, on a master; $within: a command to run it by, as a time limit.
. "${0%/*}/shared/unproxied.sh"
# The discovery cache is below /run, so that nothing is left in anybody's home.
within=
# shellcheck disable=SC2086 # they are words
as_admin() { $within kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /run/kubefab/kubectl "$@"; }
