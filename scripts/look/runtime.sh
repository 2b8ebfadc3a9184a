# shellcheck shell=sh
# The container runtime: does its CRI answer, and which images are there?
# (crictl is not always to be had; ctr comes with containerd.)
if [ -S /run/containerd/containerd.sock ]; then
    ctr --connect-timeout 2s plugins ls | while read -r _ id _ status; do
        case $id in *cri*) echo "cri $status" ;; esac
    done
    ctr --connect-timeout 2s -n k8s.io images ls -q | while IFS= read -r image; do
        echo "image $image"
    done
fi
