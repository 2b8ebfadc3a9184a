#!/bin/sh
# Has kubeadm write this node's kubelet configuration anew, from what it keeps in the cluster, and starts the kubelet with it:
# the former one is put back where that does not run. One that was cut off in between begins with the former one.
# usage: remake-kubelet-config.sh SECONDS PATCHES [LINE…]    PATCHES: the folder of somebody's, or ""; LINE: what to mark it
# with (shared/marks.sh)
# shellcheck disable=SC2154  # shared/marks.sh sets $marks
set -eu
. "${0%/*}/shared/unproxied.sh"
. "${0%/*}/shared/copies.sh"
. "${0%/*}/shared/marks.sh"
. "${0%/*}/shared/touched.sh"
seconds=$1 patches=$2 config=$(path_of kubelet)
shift 2
# steady: it runs, and does so five seconds later
steady() {
    until=$(($(date +%s) + seconds))
    while [ "$(date +%s)" -lt "$until" ]; do
        process=$(systemctl show --property MainPID --value kubelet)
        sleep 5
        if systemctl is-active --quiet kubelet && [ "$(systemctl show --property MainPID --value kubelet)" = "$process" ]; then
            return 0
        fi
    done
    return 1
}
place() { # place FILE: it is the configuration from now on
    cp -p "$1" "$config.new"
    sync "$config.new"
    mv "$config.new" "$config"
    sync "${config%/*}"
}
mkdir -p "$former"
if [ -e "$former/kubelet.yaml" ]; then
    place "$former/kubelet.yaml"
else
    kept_aside kubelet
    cp -p "$config" "$former/kubelet.yaml.new"
    sync "$former/kubelet.yaml.new"
    mv "$former/kubelet.yaml.new" "$former/kubelet.yaml"
    sync "$former"
fi
there=$(kubeadm_copies)
status=0
kubeadm upgrade node phase kubelet-config ${patches:+--patches "$patches"} || status=$?
kubeadm_copies | grep -vxF -e "${there:- }" | while read -r copy; do rm -r "$copy"; done
if [ "$status" != 0 ]; then
    place "$former/kubelet.yaml"
    forget_former kubelet
    exit "$status"
fi
sync "$config"
touch_future "$config"
systemctl restart kubelet
if ! steady; then
    said=$(journalctl --unit kubelet --lines 3 --output cat 2>/dev/null | cut -c 1-300)
    place "$former/kubelet.yaml"
    forget_former kubelet
    systemctl restart kubelet
    printf '%s\n' "$said" "the kubelet does not run with its new configuration: the former one is there again" >&2
    exit 1
fi
mark kubelet "$config" "$@"
forget_former kubelet
