# shellcheck shell=sh
# podded PROCESS: whether this host's kubelet has begun it, as all of its pods are: they alone are in such a control group.
podded() { grep -qs kubepods "/proc/$1/cgroup"; }
# pod_of PROCESS: the pod it is in, as its control group is called; nothing where it has ended. A static pod's is named by what
# its manifest says (kubernetes/kubernetes, pkg/kubelet/config/common.go): one by another manifest is another pod.
pod_of() { grep -os 'pod[0-9a-f_-]\{32,36\}' "/proc/$1/cgroup" | head -n 1; }
