# shellcheck shell=sh
# kubeadm_copies: the paths of what kubeadm's upgrades copy, etcd's data among it, and leave behind. What its dry runs
# write belongs to whoever asked for them.
kubeadm_copies() {
    for copy in /etc/kubernetes/tmp/kubeadm-backup-* /etc/kubernetes/tmp/kubeadm-upgraded-* \
        /etc/kubernetes/tmp/kubeadm-kubelet-config* /etc/kubernetes/tmp/kubeadm-kubelet-env*; do
        [ ! -e "$copy" ] || echo "$copy"
    done
}
