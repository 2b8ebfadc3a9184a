#!/bin/sh
# Removes from this host, by its name (shared/made.sh), all that kubeadm, the kubelet, flannel and kubefab made there.
# The packages stay, and others' files do: where kubeadm would delete these, or want their folder empty, they are set
# aside below /var/lib/kubefab-kept. Needs no living cluster, and may be broken off and begun again.
# usage: tear-down.sh SOCKET [unasked]    the CRI's; unasked: only what a kubeadm init or join by kubefab has made that
# did not finish, and nothing where no marker tells of one
set -eu
. "${0%/*}/shared/made.sh"
. "${0%/*}/shared/endpoint.sh"
. "${0%/*}/shared/backups.sh"

remove() { # remove PATH…: with all that is in it
    for path; do
        if [ -e "$path" ] || [ -L "$path" ]; then find "$path" -xdev -depth -delete; fi
    done
}
remove_own() { # remove_own PATTERN
    own | grep -E "$1" | while read -r path; do remove "$path"; done
}
set_aside() {
    to_set_aside | while IFS= read -r path; do
        mkdir -p "/var/lib/kubefab-kept${path%/*}"
        chmod 700 /var/lib/kubefab-kept # as etcd's folder is: whatever lay in there may be open to all
        mv --backup=numbered "$path" "/var/lib/kubefab-kept${path%/*}/"
        echo "$path is now /var/lib/kubefab-kept$path"
    done
}
kill_containers() {
    # Through their shims: a containerd that was killed has lost some containers; a sandbox's task can outlive its kill.
    processes=$(shims)
    for shim in $processes; do
        pkill -KILL -P "$shim" || true
        kill -KILL "$shim" || true
    done
    if runs_containerd; then
        containers=$(in_containerd)
        for container in $containers; do
            timeout 10 ctr -n k8s.io tasks delete --force "$container" 2>/dev/null || true
            timeout 10 ctr -n k8s.io containers delete "$container" || true
        done
    fi
    if runs_docker; then
        containers=$(in_docker)
        for container in $containers; do
            docker rm --force --volumes "$container" >/dev/null || true
        done
    fi
}
unmount() {
    targets=$(kubelets_mounts)
    [ -z "$targets" ] || printf '%s\n' "$targets" | sort -r | while IFS= read -r target; do
        # One whose server is gone would be waited for.
        timeout -k 5 20 umount "$target" || umount -l "$target" || true
    done
    targets=$(kubelets_mounts)
    [ -z "$targets" ] || { echo "still mounted: $targets" >&2; exit 1; }
}
# reset_by_kubeadm SOCKET: until 1.24 it empties /var/lib/cni, whoever has addresses there, as podman: it is shown another.
# With dockershim's socket it removes, with their volumes, whoever's containers have k8s_ in their names, as those of a
# compose project k8s (kubernetes, cmd/kubeadm/app/util/runtime): it is told another: kill_containers goes by labels.
reset_by_kubeadm() {
    [ "$1" != /var/run/dockershim.sock ] || set -- /run/kubefab/none
    set -- kubeadm reset --force --cri-socket "$1" --cert-dir /run/kubefab/none --skip-phases remove-etcd-member
    if [ -z "$(others_addresses)" ]; then
        "$@"
    else
        unshare --mount sh -c 'mount -t tmpfs kubefab /var/lib/cni && exec "$@"' sh "$@"
    fi
}
remove_chains() {
    for family in iptables ip6tables; do
        rules=$(filter "$family-save")
        found=$(printf '%s\n' "$rules" | deletions)
        [ -z "$found" ] || printf '%s\n' "$found" | "$family-restore" --noflush --wait
    done
}
remove_virtual_servers() {
    if command -v ipvsadm >/dev/null; then
        found=$(virtual_servers)
        [ -z "$found" ] || echo "$found" | while read -r kind server; do ipvsadm -D "$kind" "$server"; done
    fi
}
remove_network() {
    rm -f /etc/cni/net.d/10-flannel.conflist /etc/cni/net.d/10-flannel.conf /etc/cni/net.d/.kubernetes-cni-keep
    remove_virtual_servers
    for link in /sys/class/net/cni0 /sys/class/net/flannel[.-]* /sys/class/net/kube-ipvs0; do
        [ ! -e "$link" ] || ip link delete "${link##*/}"
    done
    found=$(tables)
    [ -z "$found" ] || echo "$found" | while read -r family table; do nft delete table "$family" "$table"; done
    remove_chains
}

found=$(in_the_way)
if [ -n "$found" ]; then
    printf 'nothing was changed:\n%s\n' "$found" >&2
    exit 1
fi
asked=yes
[ "${2:-}" != unasked ] || asked=
mark=/var/lib/kubefab/tear-down
if [ -n "$asked" ]; then
    mkdir -p /var/lib/kubefab
    [ -e "$mark" ] || date +%s >"$mark"
    sync "$mark" # after a power cut it would be there, and empty
elif [ ! -e /var/lib/kubefab/init ] && [ ! -e /var/lib/kubefab/join ] && [ ! -e /var/lib/kubefab/join-master ]; then
    echo "no init and no join of kubefab's is left unfinished here: nothing was changed" >&2
    exit 1
elif [ ! -e /var/lib/kubefab/init ] && [ ! -e /var/lib/kubefab/join-master ]; then
    # shellcheck disable=SC2034  # shared/made.sh goes by it
    joined=yes
fi

if ! systemctl stop kubelet 2>/dev/null && ! is_stopped kubelet; then
    echo "the kubelet cannot be stopped: it would make again what goes" >&2
    exit 1
fi
# Where it is down its containers run on, and nobody else knows them.
case $1 in
    *containerd*) systemctl start containerd ;;
    *) systemctl start docker cri-docker ;;
esac 2>/dev/null || true
unmount
# What says that this is a control plane goes after the keys: whose these are could not be told later.
remove_own ^/etc/kubernetes/pki/
if [ -n "$asked" ]; then
    remove_timer
    set_aside
    # Without these kubeadm asks no API server, which may be gone and would be waited for.
    remove_own '^/etc/kubernetes/[^/]*[.]conf$'
    # It would delete whatever is in the folder of certificates, and follow mounts in etcd's.
    if command -v kubeadm >/dev/null; then
        reset_by_kubeadm "$1"
    fi
fi
kill_containers
unmount
remove_own ^/var/lib/
if [ -n "$asked" ]; then
    state | while IFS= read -r path; do remove "$path"; done
    find /var/lib/cni/ -depth -type d -empty -delete 2>/dev/null || true
    remove_network
    remove_endpoint
    patches | while read -r path; do remove "$path"; done
    rmdir /etc/kubefab/patches /etc/kubefab 2>/dev/null || true
fi
remove_own .
rm -f /run/kubefab/discovery.conf /run/kubefab/discovery.conf.yaml # of a join that was killed
remove /var/lib/kubefab-manifests # the marks of what was made
remove /var/lib/kubefab/renewal # another cluster must never get certificates from it
remove /var/lib/kubefab/renewal.new
rm -f /var/lib/kubefab/init /var/lib/kubefab/join /var/lib/kubefab/join-master /var/lib/kubefab/restore
for folder in /etc/kubernetes/tmp /etc/kubernetes/manifests /etc/kubernetes/pki/etcd /etc/kubernetes/pki /etc/kubernetes \
    /var/lib/kubelet /var/lib/etcd /run/flannel /var/lib/rook; do
    rmdir "$folder" 2>/dev/null || true # it may be a disk of its own, or hold what is somebody else's
done
rm -f "$mark"
rmdir /var/lib/kubefab 2>/dev/null || true
