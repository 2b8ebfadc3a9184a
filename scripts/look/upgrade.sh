# shellcheck shell=sh
# What is asked of a master before it is upgraded: room for kubeadm's copy of etcd, what earlier upgrades have left, and which
# of the APIs that go away were asked for.
[ -e /etc/kubernetes/admin.conf ] || exit 0
silent=upgrade_untold
fact "etcd_mib $(heard du -sm /var/lib/etcd | cut -f 1)"
fact "room_mib $(heard df -m --output=avail /etc/kubernetes | tail -n 1)"
for copy in /etc/kubernetes/tmp/kubeadm-*; do
    [ ! -e "$copy" ] || fact "copy ${copy##*/}"
done
# kubeadm moves a manifest away before the new one takes its place: killed between the two it leaves none, and the copy.
for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    [ ! -e "/etc/kubernetes/manifests/$name.yaml" ] || continue
    for copy in /etc/kubernetes/tmp/kubeadm-backup-manifests-*/"$name.yaml"; do
        [ ! -e "$copy" ] || fact "moved $name.yaml"
    done
done
# This master's own API server tells what it was asked since its start; the others tell theirs.
timeout -k 2 "$(at_most 10)" kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /run/kubefab/kubectl get --raw /metrics |
    sed -n 's/^apiserver_requested_deprecated_apis{\(.*\)} 1$/\1/p' | tr ',' '\n' | awk -F '"' '
        /^group=/ { group = $2 ? $2 "/" : "" }
        /^removed_release=/ { gone = $2 }
        /^resource=/ { resource = $2 }
        /^version=/ { if (gone) print "deprecated", group $2, resource, gone; gone = "" }'
