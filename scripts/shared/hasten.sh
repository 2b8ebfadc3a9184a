# shellcheck shell=sh
# shellcheck disable=SC2154 # $etcd is set by find_etcd
# Ends sooner what kubeadm leaves to time limits while it replaces a master's static pods: no writes work meanwhile.
. "${0%/*}/shared/etcd.sh"
. "${0%/*}/shared/servers.sh"
manifests=/etc/kubernetes/manifests
# hasten: runs beside kubeadm for as long as this script does. $before is a folder with the former manifests, and $etcd
# the process that find_etcd has found.
# - The kubelet has the API server delete the old etcd's mirror pod before it starts the new one. Without an etcd that
#   takes half a minute (kubernetes/kubernetes#139502), and then the server finds the new etcd late, since it waits
#   longer after each try. Once the server is ended, that request fails at once, and the next server looks anew.
# - An API server that no longer listens waits for open watches until it is killed after half a minute
#   (kubernetes/kubernetes#131052). Requests that it has taken before have 3 s to end.
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
rest() { # ends with the script. Servers are noted only while the manifest is the former one: later they may be new.
    kill -0 $$ 2>/dev/null || exit 0
    now=$(servers)
    changed kube-apiserver || replaced=$now
    sleep 0.3
}
