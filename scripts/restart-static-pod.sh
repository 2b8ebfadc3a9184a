#!/bin/sh
# Has the kubelet start a static pod anew: an annotation changes, by which it is another pod to it; all else in the manifest
# stays as it is. To delete its mirror in the API would start nothing (kubernetes/kubernetes#103575).
# usage: restart-static-pod.sh manifest|process NAME [FILE…]    FILE: what it reads as it starts; process: the manifest stays
# too, and the process is ended. A kubelet that was started while no API server answers ends no pod before one does: it
# waits for what else is to run here (pkg/kubelet, sourcesReady).
set -eu
. "${0%/*}/shared/touched.sh"
. "${0%/*}/shared/static.sh"
. "${0%/*}/shared/manifest.sh"
how=$1 name=$2 manifest=/etc/kubernetes/manifests/$2.yaml
shift 2
touch_future "$@"
if [ "$how" = process ]; then
    found=$(static_pod "$name")
    # Without its etcd it lets a kubelet wait for a minute with each question, and nothing is started meanwhile.
    [ "$name" != etcd ] || end_servers
    # One that ended again and again is waited with for minutes, which a kubelet forgets as it starts.
    # shellcheck disable=SC2086  # one or more
    if [ -n "$found" ]; then kill $found; else systemctl restart kubelet; fi
    exit 0
fi
# Whoever wrote it otherwise than kubeadm does would find it broken, and the kubelet would end the pod.
case $(sed -n '/^metadata:$/ { n; p; q }' "$manifest") in
    '  annotations: '* | '  '[!a-z]*) first= ;;
    '  '*) first=yes ;;
    *) first= ;;
esac
[ -n "$first" ] || {
    echo "$manifest is not written as kubeadm writes it: change an annotation in it yourself, by which the kubelet starts" \
        "it anew, and run the same command again" >&2
    exit 1
}
annotated() {
    awk -v ours="    kubefab.internal/restarted: \"$(date +%s)\"" '
        /^[^ ]/ { inside = 0 }
        inside && /^    kubefab.internal\/restarted:/ { next }
        { print }
        inside && $0 == "  annotations:" { print ours }
        /^metadata:$/ {
            inside = 1
            if (!has) print "  annotations:\n" ours
        }' "has=$(grep -cx '  annotations:' "$1")" "$1"
}
change_manifest annotated
