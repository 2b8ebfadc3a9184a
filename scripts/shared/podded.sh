# shellcheck shell=sh
# podded PROCESS: whether this host's kubelet has begun it, as all of its pods are: they alone are in such a control group.
podded() { grep -qs kubepods "/proc/$1/cgroup"; }
