# shellcheck shell=sh
# What a reset takes away and the other parts do not show; what of others it leaves, and what forbids it.
. "${0%/*}/shared/made.sh"
. "${0%/*}/shared/endpoint.sh"
. "${0%/*}/shared/backups.sh"
. "${0%/*}/shared/static.sh"
told() { # told WHAT FUNCTION: the lines that it prints; where it fails they are "uncounted", which is not "none"
    found=$("$2" 2>&1) && printf '%s\n' "$found" && return
    fact "uncounted $1 ($(last_of "${found:-no answer}"))" >&3
}
{
    ! runs_containerd || told containers in_containerd
    ! runs_docker || told containers in_docker
} | fact "containers $(grep -c .)"
told "processes of containers" shims | fact "shims $(grep -c .)"
told "chains of iptables" rules | deletions | fact "chains $(grep -c '^-X ')"
told "tables of nftables" tables | sed -n 's/./table &/p'
[ ! -e /sys/class/net/kube-ipvs0 ] || fact "table kube-ipvs0"
# Nothing else of this host's can delete them.
if ! has ipvsadm; then
    told "virtual servers of IPVS" virtual_servers | while read -r _ server; do
        [ -z "$server" ] || fact "foreign $server in IPVS (ipvsadm or a reboot clears it)"
    done
fi
kubelets_mounts | sed 's/^/mount /'
{
    own | sed 's|/[^/]*$||; s|^/etc/kubernetes/.*|/etc/kubernetes|'
    state | sed 's|^/var/lib/cni/.*|/var/lib/cni/|; s|/[^/]*$||'
    { endpoints && patches && timer_files; } | sed 's|^/etc/kubefab/.*|/etc/kubefab|'
    find /var/lib/kubefab/ -mindepth 1 | sed 's|.*|/var/lib/kubefab|'
    find /var/lib/kubefab-manifests -maxdepth 0
} | sort -u | sed 's/^/directory /'
set_aside=$(to_set_aside)
[ -z "$set_aside" ] || printf '%s\n' "$set_aside" | sed 's/^/set_aside /'
foreign | grep -vxF -e "${set_aside:- }" | sed 's/^/foreign /'
others_addresses | sed 's/^/foreign /'
# In a cluster made by hand they may be elsewhere, and a reset takes away by names.
etcds=$(etcds_place)
case $(readlink -f "$etcds")/ in
    "$(readlink -f /var/lib/etcd)"/*) ;;
    *) [ ! -d "$etcds/member" ] || fact "foreign $etcds (etcd's data)" ;;
esac
# shellcheck disable=SC2154  # shared/backups.sh sets it
[ -z "$(kept)" ] || fact "foreign $backups (backups of etcd)"
in_the_way | sed 's/^/in_the_way /'
for link in /sys/class/net/*; do
    case ${link##*/} in
        cilium_* | vxlan.calico | vxlan-v6.calico | weave | kube-bridge | antrea-gw0) fact "foreign ${link##*/}" ;;
    esac
done
