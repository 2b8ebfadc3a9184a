#!/bin/sh
# Has the kubelet start a static pod anew: an annotation changes, by which it is another pod to it; all else in the manifest
# stays as it is. To delete its mirror in the API would start nothing (kubernetes/kubernetes#103575).
# usage: restart-static-pod.sh NAME [FILE…]    FILE: what it reads as it starts
set -eu
. "${0%/*}/shared/touched.sh"
. "${0%/*}/shared/manifest.sh"
manifest=/etc/kubernetes/manifests/$1.yaml
shift
# Whoever wrote it otherwise than kubeadm does would find it broken, and the kubelet would end the pod.
case $(sed -n '/^metadata:$/ { n; p; q }' "$manifest") in
    '  annotations: '* | '  '[!a-z]*) first= ;;
    '  '*) first=yes ;;
    *) first= ;;
esac
[ -n "$first" ] || { echo "$manifest is not written as kubeadm writes it" >&2 && exit 1; }
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
touch_future "$@"
change_manifest annotated
