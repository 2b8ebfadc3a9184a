# shellcheck shell=sh
# What is asked before an upgrade: what earlier ones have left, and the kubelet's flags; and of a master the room for
# kubeadm's copy of etcd, and the APIs that were asked for and will go.
. "${0%/*}/shared/copies.sh"
. "${0%/*}/shared/static.sh"
kubeadm_copies | while read -r copy; do fact "copy ${copy##*/}"; done
# What kubeadm has written there until 1.34, its upgrade takes out again: kubernetes/kubernetes#133778
flags=/var/lib/kubelet/kubeadm-flags.env
unit=/etc/systemd/system/kubelet.service # somebody's own, as the drop-ins are
for file in "$flags" /etc/default/kubelet "$unit" "$unit".d/*.conf; do
    [ ! -e "$file" ] || sed '/^ *[#;]/d' "$file" | tr -s ' \t"=' '\n' | tr "'" '\n' | sed -n 's/^--//p' | while flag= && read -r flag || [ -n "$flag" ]; do
        [ "$flag $file" = "pod-infra-container-image $flags" ] || fact "kubelet_flag $flag $file"
    done
done
[ -e /etc/kubernetes/admin.conf ] || exit 0
# kubeadm moves a manifest away, and then the new one into its place, which may not be on the disk when the power goes. The
# former one is: see scripts/put-manifests.sh.
for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    [ ! -s "/etc/kubernetes/manifests/$name.yaml" ] || continue
    [ -e "/etc/kubernetes/manifests/$name.yaml" ] || ls /etc/kubernetes/tmp/kubeadm-upgraded-manifests*/"$name.yaml" >/dev/null || continue
    ! ls /etc/kubernetes/tmp/kubeadm-backup-manifests-*/"$name.yaml" >/dev/null || fact "torn $name.yaml"
done
if ! etcds=$(etcds_folder 2>&1); then
    fact "etcd_unmeasured $(printf '%s\n' "$etcds" | head -n 1)"
elif [ -d "$etcds" ]; then
    # kubeadm copies the folder that its own configuration names, which is another where somebody has edited the manifest.
    sizes=$(printf '%s\n' "$etcds" /var/lib/etcd | sort -u |
        while read -r one; do [ ! -d "$one" ] || heard du -sm "$one/"; done)
    fact "etcd_mib $(printf '%s\n' "$sizes" | sort -n | tail -n 1 | cut -f 1)"
else
    fact "etcd_unmeasured there is no folder $etcds"
fi
place=/etc/kubernetes/tmp # it may be a disk of its own, or lead to one
[ -d "$place" ] || place=/etc/kubernetes
room=$(heard df -k --output=avail "$place" | tail -n 1) # not -m: df of uutils, as Ubuntu has it, knows none
fact "room_mib $((room / 1024))"
fact "copies_mib $(kubeadm_copies | tr '\n' '\0' | heard du -cm --files0-from=- | tail -n 1 | cut -f 1)"
# This master's API server tells what it was asked since its start; the others tell theirs, and one of them may answer behind
# the endpoint that admin.conf names. Each one's certificate has the address by which others find it.
place=$(its_own)
case $place in :*) exit 0 ;; esac
answer=$(ask_api --server "https://$place" get --raw /metrics) || exit 0
fact "asked_told yes"
# Labels come by their names.
printf '%s\n' "$answer" | sed -n 's/^apiserver_requested_deprecated_apis{\(.*\)} 1$/\1/p' | tr ',' '\n' | awk -F '"' '
    /^group=/ { group = $2 ? $2 "/" : "" }
    /^removed_release=/ { gone = $2 }
    /^resource=/ { resource = $2 }
    /^version=/ && gone { print "deprecated", group $2, resource, gone }'
