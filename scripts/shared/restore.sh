# shellcheck shell=sh
# A restore of etcd on this master: where its parts are, and how far it has come. Its id is the new etcd's token. Its
# marker, /var/lib/kubefab/restore, exists from before anything is stopped until all is done; meanwhile the control
# plane's manifests may be in /etc/kubernetes/kubefab-restore.
. "${0%/*}/shared/static.sh"
control_plane() { echo etcd kube-apiserver kube-controller-manager kube-scheduler; }
etcds_image() { from=$(etcds_manifest) && image_of "$from"; }
restored_in() { cat "$1/kubefab-restored" 2>/dev/null || true; } # restored_in FOLDER: the restore that made its data
require_restored() { # require_restored FOLDER ID
    [ "$(restored_in "$1")" = "$2" ] || { echo "$1 has no data of the restore $2" >&2 && exit 1; }
}
move_parts() { # move_parts FROM TO: the control plane's manifests that are there
    mkdir -p "$2"
    for part in $(control_plane); do
        [ -e "$1/$part.yaml" ] || continue
        sync "$1/$part.yaml"
        mv "$1/$part.yaml" "$2/$part.yaml"
    done
    sync "$2" "$1"
}
aside=/etc/kubernetes/kubefab-restore
put_aside() { move_parts /etc/kubernetes/manifests "$aside"; }
put_back() { # what was put aside
    mkdir -p "$aside"
    move_parts "$aside" /etc/kubernetes/manifests
    rmdir "$aside"
}
# running: the processes of the control plane in its static pods, PART PID a line. False where that cannot be told.
running() {
    for part in $(control_plane); do
        processes=$(static_pod "$part") || return 1
        for process in $processes; do echo "$part $process"; done
    done
}
parts_of() { printf '%s\n' "$1" | cut -d ' ' -f 1 | sort -u | paste -sd ' '; } # parts_of RUNNING: by their names
