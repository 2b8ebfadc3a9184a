#!/bin/sh
# Takes from this host all that kubeadm, the kubelet and flannel made: as clean as before kubeadm. The
# packages stay. Needs no living cluster, and may be broken off and begun again.
# usage: tear-down.sh SOCKET    the CRI's
set -eu

systemctl stop kubelet 2>/dev/null || true
# Where it is down its containers run on, and nobody else knows them.
case $1 in
    *containerd*) systemctl start containerd ;;
    *) systemctl start docker cri-docker ;;
esac 2>/dev/null || true
# Without these kubeadm asks no API server, which may be gone and would be waited for.
rm -f /etc/kubernetes/*.conf
if command -v kubeadm >/dev/null; then
    kubeadm reset --force --cri-socket "$1"
fi

# What kubeadm reset leaves, or could not reach.
if [ -S /run/containerd/containerd.sock ]; then
    for container in $(ctr -n k8s.io tasks ls -q); do
        ctr -n k8s.io tasks kill --signal SIGKILL --all "$container" || true
        ctr -n k8s.io tasks delete --force "$container" || true
    done
    for container in $(ctr -n k8s.io containers ls -q); do
        ctr -n k8s.io containers delete "$container" || true
    done
fi
# Kubernetes' own; whatever else runs in Docker is somebody else's.
if [ -S /run/docker.sock ] && systemctl is-active --quiet docker; then
    for container in $(docker ps --all --quiet --filter name=^/k8s_); do
        docker rm --force --volumes "$container" >/dev/null || true
    done
fi
# Those that containerd lost sight of, when it was killed say, and what runs in them.
for shim in $(pgrep -f '^[^ ]*/containerd-shim[^ ]* -namespace k8s.io ' || true); do
    pkill -KILL -P "$shim" || true
    kill -KILL "$shim" || true
done
mounts() { awk '$2 ~ "^/var/lib/kubelet/" { print $2 }' /proc/mounts; }
for target in $(mounts | sort -r); do
    umount "$target" || umount -l "$target" || true
done
if [ -n "$(mounts)" ]; then
    # What is mounted there is somebody's data: nothing below may be deleted.
    echo "still mounted:" "$(mounts)" >&2
    exit 1
fi
for directory in /etc/kubernetes /var/lib/kubelet /var/lib/etcd /var/lib/cni /run/flannel /var/lib/kubefab /var/lib/rook; do
    if [ -d "$directory" ]; then
        find "$directory" -mindepth 1 -delete
        rmdir "$directory" 2>/dev/null || true # it may be a disk of its own
    fi
done
rm -f /etc/cni/net.d/*flannel* /etc/cni/net.d/.kubernetes-cni-keep
rm -f /run/kubefab/discovery.conf /run/kubefab/discovery.conf.yaml # of a join that was killed
for link in cni0 flannel.1; do
    [ ! -e "/sys/class/net/$link" ] || ip link delete "$link"
done

# Only Kubernetes' own chains, and the rules that lead to them: the rest is somebody else's firewall.
for family in iptables ip6tables; do
    if command -v "$family-save" >/dev/null; then
        "$family-save" | grep -vE -- '(^:|-A |-j )(KUBE|FLANNEL|CNI)-' | "$family-restore"
    fi
done
