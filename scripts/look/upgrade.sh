# shellcheck shell=sh
# What is asked before an upgrade: what earlier ones have left; and of a master the room for kubeadm's copy of etcd, and the
# APIs that were asked for and will go.
. "${0%/*}/shared/copies.sh"
kubeadm_copies | while read -r copy; do fact "copy ${copy##*/}"; done
[ -e /etc/kubernetes/admin.conf ] || exit 0
# kubeadm moves a manifest away, and then the new one into its place, which may not be on the disk when the power goes. The
# former one is: see scripts/put-manifests.sh.
for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    [ ! -s "/etc/kubernetes/manifests/$name.yaml" ] || continue
    [ -e "/etc/kubernetes/manifests/$name.yaml" ] || ls /etc/kubernetes/tmp/kubeadm-upgraded-manifests*/"$name.yaml" >/dev/null || continue
    ! ls /etc/kubernetes/tmp/kubeadm-backup-manifests-*/"$name.yaml" >/dev/null || fact "torn $name.yaml"
done
[ ! -d /var/lib/etcd ] || fact "etcd_mib $(heard du -sm /var/lib/etcd | cut -f 1)"
fact "room_mib $(heard df -m --output=avail /etc/kubernetes | tail -n 1)"
# This master's API server tells what it was asked since its start; the others tell theirs. Labels come by their names.
ask_api get --raw /metrics | sed -n 's/^apiserver_requested_deprecated_apis{\(.*\)} 1$/\1/p' | tr ',' '\n' | awk -F '"' '
    /^group=/ { group = $2 ? $2 "/" : "" }
    /^removed_release=/ { gone = $2 }
    /^resource=/ { resource = $2 }
    /^version=/ && gone { print "deprecated", group $2, resource, gone }'
