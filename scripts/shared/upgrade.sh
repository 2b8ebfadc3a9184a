# shellcheck shell=sh
# What each part of an upgrade begins with. The packages were fetched before, so that nothing is asked of anybody here,
# unless somebody has taken them away since.
. "${0%/*}/shared/kubernetes.sh"
install_kubernetes() { # install_kubernetes VERSION NAME…
    get_kubernetes "$@" || { list_kubernetes && get_kubernetes "$@"; }
    shift
    apt-mark hold "$@"
}
# take_kubeadm VERSION [PATCHES]: a kubeadm of it, and in $document what it is to read, from standard input. PATCHES: the
# folder of somebody's; kubeadm takes one folder, so where kubefab has one as well, both are together in a third. A file of
# ours has a name of its own there.
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
