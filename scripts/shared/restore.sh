# shellcheck shell=sh
# A restore of etcd on this master: where its parts lie, and how far it has come. Its id is the new etcd's token.
# /var/lib/kubefab/restore is its marker, from before anything is stopped until all of it is done; meanwhile the control
# plane's manifests may be in /etc/kubernetes/kubefab-restore.
control_plane() { echo etcd kube-apiserver kube-controller-manager kube-scheduler; }
etcds_manifest() { # wherever it is just now; false where this is no master
    for folder in manifests kubefab-restore; do
        [ ! -e "/etc/kubernetes/$folder/etcd.yaml" ] || { echo "/etc/kubernetes/$folder/etcd.yaml" && return; }
    done
    echo "there is no manifest of etcd's" >&2
    return 1
}
etcds_flag() { from=$(etcds_manifest) && sed -n "s/^ *- --$1=//p" "$from"; }
etcds_image() { from=$(etcds_manifest) && sed -n 's/^ *image: *//p' "$from"; }
restored_in() { cat "$1/kubefab-restored" 2>/dev/null || true; } # restored_in FOLDER: by which restore its data were made
require_restored() { # require_restored FOLDER ID
    [ "$(restored_in "$1")" = "$2" ] || { echo "$1 has no data of the restore $2" >&2 && exit 1; }
}
running_parts() { # of the control plane, in pods
    for part in $(control_plane); do
        # The kernel keeps 15 letters of a name.
        for process in $(pgrep -x "$(printf %.15s "$part")"); do
            if grep -qs kubepods "/proc/$process/cgroup"; then echo "$part" && break; fi
        done
    done
}
