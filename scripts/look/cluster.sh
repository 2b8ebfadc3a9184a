# shellcheck shell=sh
# The cluster, as its own first master tells it. Nothing where there is no control plane.
[ -e /etc/kubernetes/admin.conf ] || exit 0
. "${0%/*}/shared/static.sh"
argument() { # argument MANIFEST FLAG: the value a static pod was given
    fact "$2 $(bare "$(flag_in "/etc/kubernetes/manifests/$1.yaml" "$2" | tail -n 1)")"
}
image=$(image_of /etc/kubernetes/manifests/kube-apiserver.yaml) image=${image%@*}
fact "version ${image##*:v}"
argument kube-apiserver service-cluster-ip-range
argument kube-controller-manager cluster-cidr
# Until kubeadm init has ended, admin.conf's own user may be forbidden everything.
conf=admin.conf kinds=nodes,daemonsets.apps,deployments.apps,apiservices.apiregistration.k8s.io
if [ -e /var/lib/kubefab/init ]; then
    [ ! -e /etc/kubernetes/super-admin.conf ] || conf=super-admin.conf
    # Before it may be taken back: whatever somebody runs or keeps in it.
    # shellcheck disable=SC2034  # longer: see look.sh
    longer=50 kinds=$kinds,statefulsets.apps,jobs.batch,pods,persistentvolumeclaims,persistentvolumes
fi
. "${0%/*}/shared/cordons.sh"
annotation=kubefab.internal/cordoned-by
get() { ask_api --kubeconfig "/etc/kubernetes/$conf" get "$@" 2>&1; }
whose= # the cordons are, which is asked only where a task has left its word
all() {
    answer=$(get "$kinds" --all-namespaces -o json) || return
    case $answer in *"$annotation"*) ;; *) return 0 ;; esac
    whose=$(get nodes -o "go-template={{range .items}}$(cordons "$annotation"){{end}}") || {
        status=$? answer=$whose
        return "$status"
    }
}
why=$(astray)
if [ -n "$why" ]; then
    printf 'silent %s\n' "$why"
elif all; then
    printf 'answer %s\n%s\n' "$(printf '%s' "$answer" | tr '\n' ' ')" "$whose"
else
    case $? in 124 | 137) answer= ;; esac # what kubectl has complained of until its time was over is no reason
    answer=${answer##*
}
    printf 'silent %s\n' "${answer:-$(no_answer)}"
fi
