# shellcheck shell=sh
# shellcheck disable=SC2154 # $etcd is set by find_etcd
# What kubeadm leaves to time limits, while it replaces the static pods of a master: nothing can be written meanwhile.
. "${0%/*}/shared/etcd.sh"
. "${0%/*}/shared/servers.sh"
manifests=/etc/kubernetes/manifests
# hasten: goes on beside kubeadm for as long as this script does. $before is a folder with the manifests as they were, and
# $etcd the process that find_etcd has found.
# - The kubelet has the API server delete the old etcd's mirror pod before it starts the new one. Without an etcd that
#   takes half a minute (kubernetes/kubernetes#139502), and then the server finds the new one late, since it waits longer
#   from try to try. Ended, it says no at once, and comes back looking for etcd.
# - An API server that no longer listens waits for watches that nobody ends, until it is killed after half a minute
#   (kubernetes/kubernetes#131052). What it was asked before has 3 s to end.
# Where a new etcd does not come up either, the API server that kubeadm rolls back with may come some minutes later.
hasten() {
    replaced=$(servers)
    until changed etcd || changed kube-apiserver; do rest; done
    if changed etcd && [ -n "$etcd" ] && ended "$etcd" 60; then end_servers; fi
    until changed kube-apiserver; do rest; done
    for old in $replaced; do
        while listens "$old"; do rest; done
        ended "$old" 3 || listens "$old" || kill -KILL "$old" || true
    done
}
changed() { [ -s "$manifests/$1.yaml" ] && ! cmp -s "$manifests/$1.yaml" "$before/$1.yaml"; }
listens() { named ss -Hltnp | grep -q "pid=$1,"; }
rest() { # never longer than the script. What runs once its manifest is another may be the new one already.
    kill -0 $$ 2>/dev/null || exit 0
    now=$(servers)
    changed kube-apiserver || replaced=$now
    sleep 0.3
}
