# shellcheck shell=sh
# Kubernetes' own packages, at one version.
. "${0%/*}/shared/apt.sh"
apt() { apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold "$@" </dev/null; }
# Only this repository's lists: all of them would take longer than the packages.
list_kubernetes() {
    apt update -o Dir::Etc::sourcelist=sources.list.d/kubernetes.list -o Dir::Etc::sourceparts=- \
        -o APT::Get::List-Cleanup=0
}
# get_kubernetes VERSION NAME…: `apt-get install` of these; only Kubernetes' own packages get VERSION. A NAME may be an
# option of apt-get.
get_kubernetes() {
    version=$1
    shift
    for name; do
        shift
        case $name in kubelet | kubeadm | kubectl) name="$name=$version-*" ;; esac
        set -- "$@" "$name"
    done
    apt install --no-remove --no-install-recommends --allow-change-held-packages "$@"
}
