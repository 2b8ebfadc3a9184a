# shellcheck shell=sh
# How each part of an upgrade begins. The packages were fetched before, so that no server is asked here, unless somebody
# has removed them since.
. "${0%/*}/shared/kubernetes.sh"
install_kubernetes() { # install_kubernetes VERSION NAME…
    get_kubernetes "$@" || { list_kubernetes && get_kubernetes "$@"; }
    shift
    apt-mark hold "$@"
}
# take_kubeadm VERSION [PATCHES]: installs this kubeadm, and puts what it is to read, from standard input, in $document.
# PATCHES: the user's folder. kubeadm takes one folder, so where kubefab has one as well, both are copied into a third,
# where our file gets a name of its own.
take_kubeadm() {
    document=$(umask 077 && mktemp /run/kubefab/upgrade.XXXXXX)
    trap 'rm -f "$document"' EXIT
    cat >"$document"
    if [ -n "${2-}" ] && [ -e /etc/kubefab/patches ]; then
        rm -rf /run/kubefab/upgrade-patches
        cp -RL "$2" /run/kubefab/upgrade-patches
        cp /etc/kubefab/patches/etcd+json.yaml /run/kubefab/upgrade-patches/etcd-kubefab+json.yaml
    fi
    install_kubernetes "$1" kubeadm
}
