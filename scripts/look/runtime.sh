# shellcheck shell=sh
# The container runtime: does its CRI answer, and which images are there?
# (crictl is not always to be had; ctr comes with containerd.)
asked() { # asked COMMAND…: what it says; where it fails, why
    answer=$(timeout -k 2 "$(at_most 10)" "$@" 2>&1) && printf '%s\n' "$answer" && return
    last_of "${answer:-no answer}"
    return 1
}
# Who does not answer to all of it does not answer: so nothing that was not told is taken for "none".
if [ -S /run/containerd/containerd.sock ] && has ctr; then
    if ! said=$(asked ctr --connect-timeout 2s plugins ls) ||
        ! images=$(asked ctr --connect-timeout 2s -n k8s.io images ls -q); then
        fact "cri ${images-$said}"
    else
        printf '%s\n' "$said" | while read -r _ id _ status; do
            case $id in *cri*) fact "cri $status" ;; esac
        done
        printf '%s\n' "$images" | while IFS= read -r image; do
            case $image in '' | *' '*) ;; *) fact "image $image" ;; esac # a warning has words
        done
    fi
fi
# Where it stores, if its file says so; ours does not. What stands in a table is a plugin's.
if [ -r /etc/containerd/config.toml ]; then
    while key= && IFS='= 	' read -r key value || [ -n "$key" ]; do
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
if [ -S /run/docker.sock ] && has docker && ! is_stopped docker; then
    if ! images=$(asked docker images --format '{{.Repository}}:{{.Tag}}') ||
        ! others=$(asked docker ps --format '{{.Label "io.kubernetes.docker.type"}} {{.Names}}'); then
        fact "docker ${others-$images}"
    else
        fact "docker ok"
        for image in $images; do
            fact "docker_image $image"
        done
        printf '%s\n' "$others" | sed -n 's/^ \(.\)/\1/p' | while IFS= read -r container; do
            fact "docker_other $container"
        done
    fi
fi
if [ -x /usr/local/bin/cri-dockerd ]; then
    asked /usr/local/bin/cri-dockerd --version | while read -r _ version _; do
        fact "cri_dockerd $version"
    done
fi
# Without crictl: whatever speaks gRPC answers that it knows nothing of containerd's own API.
if [ -S /run/cri-dockerd.sock ] && has ctr && ! is_stopped cri-docker; then
    case $(ctr --connect-timeout 2s --address /run/cri-dockerd.sock version 2>&1) in
        *"unknown service"*) fact "docker_cri ok" ;;
        *) fact "docker_cri no answer" ;;
    esac
fi
