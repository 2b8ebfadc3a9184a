#!/bin/sh
# Has kubeadm rewrite a static pod's manifest, by its own phase, and waits for the pod that the kubelet starts from it.
# The former manifest is put back where that is not well in time. A run that was killed is finished first.
# usage: remake-manifest.sh SECONDS NAME PHASE [LINE…]    NAME: of the manifest; PHASE: kubeadm's for it, or "" only to
# finish a run that was killed; LINE: what to mark it with (shared/marks.sh); standard input: kubeadm's documents
# shellcheck disable=SC2154  # shared/marks.sh sets $former
set -eu
. "${0%/*}/shared/admin.sh"
. "${0%/*}/shared/marks.sh"
. "${0%/*}/shared/rendered.sh"
. "${0%/*}/shared/static.sh"
. "${0%/*}/shared/hasten.sh"
seconds=$1 name=$2 phase=$3
shift 3
manifest=$(path_of "$name") old=

flag() { flag_in "$manifest" "$1" | tail -n 1; }
# told_well PORT: what the component says of itself, where its manifest has it listen
told_well() {
    address=$(flag bind-address) port=$(flag secure-port)
    case ${address:-0.0.0.0} in 0.0.0.0 | '::') address=127.0.0.1 ;; esac
    # It has signed its certificate itself, so that nothing is verified. Without a user kubectl would ask for one.
    as_admin --server "https://$address:${port:-$1}" --insecure-skip-tls-verify --request-timeout 5s get --raw /healthz
}
answers() {
    case $name in
        kube-apiserver) as_admin --server "https://$(its_own)" --request-timeout 5s get --raw /readyz ;;
        kube-controller-manager) told_well 10257 ;;
        kube-scheduler) told_well 10259 ;;
    esac 2>/dev/null
}
# running: the pods whose processes run
running() { for process in $(static_pod "$name"); do pod_of "$process"; done | sort -u | tr '\n' ' '; }
# settled: sets $old to the pods that run now, whose processes prove nothing of the new manifest. Waits some seconds for
# a process that has only just ended, as a controller's that loses its lease.
settled() {
    until=$(($(date +%s) + 20))
    while old=$(running) && [ -z "$old" ] && [ "$(date +%s)" -lt "$until" ]; do sleep 0.5; done
    [ -n "$old" ] || [ -z "$(static_pod "$name")" ] ||
        { echo "nothing was changed: in which pod $name runs, its /proc/PID/cgroup does not say" >&2 && exit 1; }
}
# young: a process of a pod that is not in $old. Until the kubelet has seen the new manifest, it may still start a
# process of the former one.
young() {
    for process in $(static_pod "$name"); do
        pod=$(pod_of "$process")
        case " $old " in *" $pod "*) ;; *) [ -z "$pod" ] || { printf '%s\n' "$process" && return; } ;; esac
    done
}
# well: waits until the pod answers well, and still does after some seconds. After it has ended three times, no longer.
well() {
    tried='' met='' until=$(($(date +%s) + seconds))
    while [ "$(date +%s)" -lt "$until" ]; do
        now=$(young)
        case " $tried " in *" $now "*) ;; *) tried="$tried $now" met="$met $(pod_of "$now")" ;; esac
        # shellcheck disable=SC2086  # its words
        set -- $tried
        [ $# -le 3 ] || return 1
        if [ -n "$now" ] && [ "$(answers)" = ok ]; then
            sleep 2
            [ "$(young)" != "$now" ] || return 0
        fi
        sleep 0.5
    done
    return 1
}
# place FILE: makes it the manifest
place() {
    # Outside the manifests' folder, since the kubelet reads any file there, even half written.
    new=$(mktemp /etc/kubernetes/manifest.XXXXXX)
    cp -p "$1" "$new"
    sync "$new"
    mv "$new" "$manifest"
    sync "${manifest%/*}"
}
put_back() {
    # The latest log that is not empty: a container that has just restarted has written nothing yet.
    log=$(find /var/log/pods/ -path "*/kube-system_$name-*/$name/*.log" -size +0c -printf '%T@ %p\n' 2>/dev/null | sort -n | tail -n 1)
    said=
    [ -z "$log" ] || said=$(tail -n 3 "${log#* }" | cut -c 1-300)
    place "$former/$name.yaml"
    marked_as_before "$name"
    old=$met # only the new pods: the former manifest's has the same id as before, and may never have ended
    how="and well again"
    well || how="and not well either"
    forget_former "$name"
    printf '%s\n' "$said" "$name was not well within $seconds s by its new manifest: the former one is there again, $how" >&2
    exit 1
}
finish() {
    if cmp -s "$former/$name.yaml" "$manifest"; then # killed before the new one was there
        marked_as_before "$name"
    else
        well || put_back
    fi
    forget_former "$name"
}
# plain FILE: its pod as JSON, which has no comments or order of YAML's
plain() { kubectl annotate --local --filename "$1" --output json kubefab.internal/same=yes; }
# is_same FILE FILE: whether they are the same pod to the kubelet
is_same() { this=$(plain "$1") && that=$(plain "$2") && [ "$this" = "$that" ]; }

umask 077
static_pod "$name" >/dev/null # stops where it fails: else what ran before would be taken for a proof
if [ -e "$former/$name.yaml" ]; then
    old=$(cat "$former/$name.pods" 2>/dev/null || true)
    finish
fi
[ -n "$phase" ] || exit 0
document=$(mktemp /run/kubefab/manifest.XXXXXX)
folder=$(mktemp -d /run/kubefab/manifests.XXXXXX)
before=$(mktemp -d /run/kubefab/manifests.XXXXXX)
trap 'kill "${beside-}" 2>/dev/null || true; rm -rf "$document" "$folder" "$before" "${new-}"' EXIT
cat >"$document"
(
. "${0%/*}/shared/proxied.sh"
render "$folder" "$document" "$phase"
) # with the proxy's settings, which kubeadm writes into manifests
[ -s "$folder/$name.yaml" ] || { echo "kubeadm has written no $name.yaml" >&2 && exit 1; }
if is_same "$folder/$name.yaml" "$manifest"; then
    kept_aside "$name"
    mark "$name" "$folder/$name.yaml" "$@"
    place "$folder/$name.yaml"
    exit 0
fi
settled
kept_aside "$name"
keep_marks "$name"
echo "$old" >"$former/$name.pods"
sync "$former/$name.pods"
cp -p "$manifest" "$former/$name.yaml.new"
sync "$former/$name.yaml.new"
mv "$former/$name.yaml.new" "$former/$name.yaml"
sync "$former"
mark "$name" "$folder/$name.yaml" "$@"
cp -R /etc/kubernetes/manifests/. "$before"
# shellcheck disable=SC2034  # hasten reads it
find_etcd "$(named ss -Hltnp)" || etcd=
if [ "$name" = kube-apiserver ]; then
    hasten 9>&- &
    beside=$!
fi
place "$folder/$name.yaml"
finish
