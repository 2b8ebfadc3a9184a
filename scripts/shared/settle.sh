# shellcheck shell=sh
# shellcheck disable=SC2154 # $manifest is set by shared/manifest.sh, $etcd by find_etcd
# Tells this master's etcd that it is a member of an existing cluster, so that it does not start over an empty folder:
# there it would make a cluster of its own, or begin anew as a member that has forgotten what it promised the others.
# With data it reads neither flag. The kubelet restarts it, by the manifest, in which all else stays as it is.
. "${0%/*}/shared/manifest.sh"
settled() {
    awk -v itself="$(etcds_flag name)=$(etcds_flag initial-advertise-peer-urls)" '
        /^ *- --initial-cluster-state=/ { next }
        /^ *- --initial-cluster=/ {
            indent = substr($0, 1, index($0, "-") - 1)
            print indent "- --initial-cluster=" itself
            print indent "- --initial-cluster-state=existing"
            next
        }
        { print }' "$1"
}
# settling COMMAND…: runs the kubeadm that makes this master, and settles etcd as soon as that has its data and a vote.
# Now it costs some seconds, and later half a minute. What is not done here, the step that follows does.
settling() {
    "$@" &
    making=$!
    while kill -0 "$making" 2>/dev/null; do
        if has_vote; then
            settle_now & # in a shell of its own, which ends at its first error
            wait "$!" || true
            break
        fi
        sleep 0.2
    done
    wait "$making"
}
has_vote() { [ -e "$manifest" ] && find_etcd "$(named ss -Hltnp)" && ask_etcd 5 endpoint health >/dev/null 2>&1; }
# settle_now: a kubelet that runs would wait for 10 to 15 s before it starts the new etcd, and for 10 more until its API
# server has answered, which waits for etcd. One that has only just started does not. Nobody uses this master yet.
settle_now() {
    new=$(mktemp /etc/kubernetes/manifest.XXXXXX) # the kubelet reads any file in the manifests' folder
    trap 'rm -f "$new"; systemctl start kubelet' EXIT
    cp -p "$manifest" "$new"
    settled "$manifest" >"$new"
    sync "$new"
    systemctl stop kubelet
    end_servers # else etcd waits for its connections to end
    kill "$etcd"
    ended "$etcd" 20
    mv "$new" "$manifest"
    sync "${manifest%/*}"
}
