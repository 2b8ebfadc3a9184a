# shellcheck shell=sh
# The container runtime: does its CRI answer, and which images are there?
# (crictl is not always to be had; ctr comes with containerd.)
if [ -S /run/containerd/containerd.sock ]; then
    ctr --connect-timeout 2s plugins ls | while read -r _ id _ status; do
        case $id in *cri*) fact "cri $status" ;; esac
    done
    ctr --connect-timeout 2s -n k8s.io images ls -q | while IFS= read -r image; do
        fact "image $image"
    done
fi
# Where it stores, if its file says so; ours does not. What stands in a table is a plugin's.
if [ -r /etc/containerd/config.toml ]; then
    while IFS='= 	' read -r key value; do
        case $key in
            \[*) break ;;
            root)
                value=${value#[\"\']}
                fact "containerd_root ${value%%[\"\']*}"
                ;;
        esac
    done </etc/containerd/config.toml
fi
for file in /etc/containerd/certs.d/*/hosts.toml; do
    [ -r "$file" ] || continue
    line=
    IFS= read -r line <"$file"
    folder=${file%/*}
    case $line in '# Written by kubefab'*) fact "mirrored ${folder##*/}" ;; esac
done
# A socket of systemd's would start what it belongs to.
if [ -S /run/docker.sock ] && systemctl is-active --quiet docker; then
    if images=$(timeout 5 docker images --format '{{.Repository}}:{{.Tag}}' 2>&1); then
        fact "docker ok"
        for image in $images; do
            fact "docker_image $image"
        done
        timeout 5 docker ps --format '{{.Names}}' | grep -v '^k8s_' | while read -r container; do
            fact "docker_other $container"
        done
    else
        fact "docker ${images##*
}"
    fi
fi
if [ -x /usr/local/bin/cri-dockerd ]; then
    /usr/local/bin/cri-dockerd --version | while read -r _ version _; do
        fact "cri_dockerd $version"
    done
fi
# Without crictl: whatever speaks gRPC answers that it knows nothing of containerd's own API.
if [ -S /run/cri-dockerd.sock ] && systemctl is-active --quiet cri-docker; then
    case $(ctr --connect-timeout 2s --address /run/cri-dockerd.sock version 2>&1) in
        *"unknown service"*) fact "docker_cri ok" ;;
        *) fact "docker_cri no answer" ;;
    esac
fi
