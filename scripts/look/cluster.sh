# shellcheck shell=sh
# The cluster, as its own first master tells it. Nothing where there is no control plane.
[ -e /etc/kubernetes/admin.conf ] || exit 0
argument() { # argument MANIFEST FLAG: the value a static pod was given
    while read -r _ flag; do
        case $flag in "--$2="*) fact "$2 ${flag#*=}" ;; esac
    done <"/etc/kubernetes/manifests/$1.yaml"
}
while read -r name value; do
    case $name in image:) fact "version ${value##*:v}" ;; esac
done </etc/kubernetes/manifests/kube-apiserver.yaml
argument kube-apiserver service-cluster-ip-range
argument kube-controller-manager cluster-cidr
# Until kubeadm init has ended, admin.conf's own user may be forbidden everything.
conf=admin.conf kinds=nodes,daemonsets.apps,deployments.apps,apiservices.apiregistration.k8s.io
if [ -e /var/lib/kubefab/init ]; then
    [ ! -e /etc/kubernetes/super-admin.conf ] || conf=super-admin.conf
    # Before it may be taken back: whatever somebody runs or keeps in it.
    kinds=$kinds,statefulsets.apps,jobs.batch,pods,persistentvolumeclaims,persistentvolumes
fi
if answer=$(ask_api --kubeconfig "/etc/kubernetes/$conf" get "$kinds" --all-namespaces -o json 2>&1); then
    printf 'answer %s\n' "$(printf '%s' "$answer" | tr '\n' ' ')"
else
    answer=${answer##*
}
    printf 'silent %s\n' "${answer:-no answer in $(at_most 15) s}"
fi
