# shellcheck shell=sh
# What each part of an upgrade begins with. The packages were fetched before, so that nothing is asked of anybody here,
# unless somebody has taken them away since.
. "${0%/*}/shared/kubernetes.sh"
install_kubernetes() { # install_kubernetes VERSION NAME…
    get_kubernetes "$@" || { list_kubernetes && get_kubernetes "$@"; }
    shift
    apt-mark hold "$@"
}
# take_kubeadm VERSION: a kubeadm of it, and in $document what it is to read, from standard input
take_kubeadm() {
    document=$(umask 077 && mktemp /run/kubefab/upgrade.XXXXXX)
    trap 'rm -f "$document"' EXIT
    cat >"$document"
    install_kubernetes "$1" kubeadm
}
