# shellcheck shell=sh
# shellcheck disable=SC2154 # $etcd is set by find_etcd
# A static pod's manifest, from which the kubelet starts it: etcd's, unless the caller sets $manifest.
. "${0%/*}/shared/etcd.sh"
. "${0%/*}/shared/servers.sh"
. "${0%/*}/shared/marks.sh"
manifest=/etc/kubernetes/manifests/etcd.yaml
# change_manifest COMMAND…: replaces it by what the command prints, given its path, and waits for a former etcd to end.
# Does nothing where that is the same.
change_manifest() {
    # Outside the manifests' folder, since the kubelet reads any file there, even half written.
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
    # Before the kubelet starts the new etcd, it has this host's API server delete the old one's mirror pod, which waits
    # half a minute for the etcd that is gone. Once the server is ended, that fails at once, and the server comes back.
    ended "$etcd" 60 || { echo "its kubelet has not ended etcd within a minute" >&2 && return 1; }
    end_servers
}
