# shellcheck shell=sh
# shellcheck disable=SC2154 # $etcd is set by find_etcd
# A static pod's manifest, from which its kubelet starts it: etcd's, unless who asks says otherwise.
. "${0%/*}/shared/etcd.sh"
. "${0%/*}/shared/servers.sh"
. "${0%/*}/shared/marks.sh"
manifest=/etc/kubernetes/manifests/etcd.yaml
# change_manifest COMMAND…: what the command prints of it takes its place, and a former etcd is ended. Where all is so
# already nothing happens.
change_manifest() {
    # Beside its folder: the kubelet reads whatever is in there, in whatever state.
    new=$(mktemp /etc/kubernetes/manifest.XXXXXX)
    trap 'rm -f "$new"' EXIT
    cp -p "$manifest" "$new"
    "$@" "$manifest" >"$new"
    ! cmp -s "$manifest" "$new" || return 0
    sync "$new"
    etcd=
    case $manifest in */etcd.yaml) find_etcd "$(named ss -Hltnp)" || etcd= ;; esac
    mark_again "$(basename "$manifest" .yaml)" "$new"
    mv "$new" "$manifest"
    sync "${manifest%/*}"
    [ -n "$etcd" ] || return 0
    # Before the kubelet starts the new one, it has this host's API server delete the old one's mirror pod, and that waits
    # half a minute for the etcd that is gone. Without an etcd it is of no use: ended, it says no at once, and comes back.
    ended "$etcd" 60 || { echo "its kubelet has not ended etcd within a minute" >&2 && return 1; }
    end_servers
}
