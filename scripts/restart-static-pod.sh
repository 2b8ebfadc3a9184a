#!/bin/sh
# Has the kubelet restart a static pod: a new annotation makes it another pod to the kubelet; all else in the manifest
# stays. To delete the mirror pod would restart nothing (kubernetes/kubernetes#103575).
# usage: restart-static-pod.sh manifest|process NAME [FILE…]    FILE: what it reads as it starts; process: keep the
# manifest, and end the process. This is for a kubelet that was started while no API server answers: it ends no pod
# until one tells which others are to run here (pkg/kubelet, sourcesReady).
set -eu
. "${0%/*}/shared/touched.sh"
. "${0%/*}/shared/static.sh"
. "${0%/*}/shared/manifest.sh"
how=$1 name=$2 manifest=/etc/kubernetes/manifests/$2.yaml
shift 2
touch_future "$@"
if [ "$how" = process ]; then
    found=$(static_pod "$name")
    # Without its etcd the API server lets the kubelet wait a minute for each answer, and nothing is started meanwhile.
    [ "$name" != etcd ] || end_servers
    # After several ends the kubelet waits minutes before it starts the pod again; a restart makes it forget that.
    # shellcheck disable=SC2086  # one or more
    if [ -n "$found" ]; then kill $found; else systemctl restart kubelet; fi
    exit 0
fi
# In a manifest that is not written as kubeadm does, our line could break the YAML, and the kubelet would end the pod.
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
