# shellcheck shell=sh
# podded PROCESS: whether this host's kubelet has started it: only its pods are in such a control group.
podded() { grep -qs kubepods "/proc/$1/cgroup"; }
# pod_of PROCESS: its pod, as named in its control group; nothing where it has ended. A static pod's id is a hash of its
# manifest (kubernetes/kubernetes, pkg/kubelet/config/common.go), so that a changed manifest makes another pod.
pod_of() { grep -os 'pod[0-9a-f_-]\{32,36\}' "/proc/$1/cgroup" | head -n 1; }
