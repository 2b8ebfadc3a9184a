# shellcheck shell=sh
# This host's member of etcd, by its own word: what it is, who leads it, whom it knows. What others say is theirs to tell.
. "${0%/*}/shared/etcd.sh"
. "${0%/*}/shared/static.sh"
manifest=/etc/kubernetes/manifests/kube-apiserver.yaml
if [ -e "$manifest" ]; then
    fact "servers $(bare "$(flag_in "$manifest" etcd-servers | tail -n 1)")"
fi
limit=$(at_most 5)
find_etcd "$(named heard ss -Hltnp)" || exit 0
fact "etcd_runs yes"
fact "quota $(etcd_flag quota-backend-bytes)"
fact "cluster_state $(etcd_flag initial-cluster-state)"
etcd_flag initial-cluster | tr ',' '\n' | while read -r one; do fact "first_member $one"; done
if answer=$(ask_etcd "$limit" --command-timeout "$((limit - 1))s" endpoint status --write-out json 2>&1); then
    fact "member $(printf '%s\n' "$answer" | grep '^\[')"
else
    # gRPC's own word, in a log in JSON, says more than the last line, which only tells that it was waited for.
    why=$(printf '%s\n' "$answer" | sed -n 's/.*"error":"\(.*\)"}$/\1/p' | sed 's/.*desc = //; s/\\"//g' | tail -n 1)
    fact "etcd_silent ${why:-$(printf '%s\n' "$answer" | grep -vx -e null -e '\[\]' | tail -n 1)}"
    exit 0
fi
# Its own list will do, which it has without a quorum too; older ones (before 3.6) have no other.
answer=$(ask_etcd "$limit" --command-timeout "$((limit - 1))s" member list --consistency s --write-out json 2>/dev/null) ||
    answer=$(ask_etcd "$limit" --command-timeout "$((limit - 1))s" member list --write-out json 2>/dev/null)
fact "membership $(printf '%s\n' "$answer" | grep '^{.*"members"')"
