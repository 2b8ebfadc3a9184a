# shellcheck shell=sh
# What a reset takes away and the other parts do not show; what of others it leaves, and what forbids it.
. "${0%/*}/shared/made.sh"
count() { # count FUNCTION: how many there are; one of which the runtime does not tell is none of these
    if found=$("$1" 2>&1); then
        containers=$((containers + $(printf '%s' "$found" | grep -c .)))
    else
        fact "containers_untold $(printf '%s' "$found" | tail -n 1)"
    fi
}
containers=0
! runs_containerd || count in_containerd
! runs_docker || count in_docker
fact "containers $containers"
fact "shims $(shims | grep -c .)"
fact "chains $({ iptables-save; ip6tables-save; } | grep -cE '^:(KUBE|FLANNEL|CNI)-')"
tables | sed 's/^/table /'
[ ! -e /sys/class/net/kube-ipvs0 ] || fact "table kube-ipvs0"
kubelets_mounts | sed 's/^/mount /'
{
    own | sed 's|/[^/]*$||; s|^/etc/kubernetes/.*|/etc/kubernetes|'
    state | sed 's|^/var/lib/cni/.*|/var/lib/cni/|; s|/[^/]*$||'
    find /var/lib/kubefab/ -mindepth 1 | sed 's|.*|/var/lib/kubefab|'
} | sort -u | sed 's/^/directory /'
set_aside=$(to_set_aside)
[ -z "$set_aside" ] || printf '%s\n' "$set_aside" | sed 's/^/set_aside /'
foreign | grep -vxF -e "${set_aside:- }" | sed 's/^/foreign /'
others_addresses | sed 's/^/foreign /'
in_the_way | sed 's/^/in_the_way /'
for link in /sys/class/net/*; do
    case ${link##*/} in
        cilium_* | vxlan.calico | vxlan-v6.calico | weave | kube-bridge | antrea-gw0) fact "foreign ${link##*/}" ;;
    esac
done
