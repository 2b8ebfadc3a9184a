# shellcheck shell=sh
# What a reset takes away and the other parts do not show.
containers=0
if [ -S /run/containerd/containerd.sock ]; then
    containers=$(ctr --connect-timeout 2s -n k8s.io containers ls -q | wc -l)
fi
if [ -S /run/docker.sock ] && systemctl is-active --quiet docker; then
    containers=$((containers + $(docker ps --all --quiet --filter name=^/k8s_ | wc -l)))
fi
echo "containers $containers"
echo "shims $(pgrep -fc '^[^ ]*/containerd-shim[^ ]* -namespace k8s.io ')"
echo "chains $({ iptables-save; ip6tables-save; } | grep -cE '^:(KUBE|FLANNEL|CNI)-')"
while read -r _ target _; do
    case $target in /var/lib/kubelet/*) echo "mount $target" ;; esac
done </proc/mounts
for directory in /etc/kubernetes /var/lib/kubelet /var/lib/etcd /var/lib/cni /run/flannel /var/lib/kubefab /var/lib/rook; do
    for inside in "$directory"/*; do
        if [ -e "$inside" ]; then
            echo "directory $directory"
            break
        fi
    done
done
