# shellcheck shell=sh
# A restore of etcd on this master: where its parts lie, and how far it has come. Its id is the new etcd's token.
# /var/lib/kubefab/restore is its marker, from before anything is stopped until all of it is done; meanwhile the control
# plane's manifests may be in /etc/kubernetes/kubefab-restore.
. "${0%/*}/shared/podded.sh"
control_plane() { echo etcd kube-apiserver kube-controller-manager kube-scheduler; }
etcds_manifest() { # wherever it is just now; false where this is no master
    for folder in manifests kubefab-restore; do
        [ ! -e "/etc/kubernetes/$folder/etcd.yaml" ] || { echo "/etc/kubernetes/$folder/etcd.yaml" && return; }
    done
    echo "there is no manifest of etcd's" >&2
    return 1
}
etcds_flag() { from=$(etcds_manifest) && sed -n "s/^ *- *[\"']\{0,1\}--$1=//p" "$from" | sed "s/[\"']\{0,1\} *$//"; }
etcds_folder() { # of its data; false where its manifest does not say
    folder=$(etcds_flag data-dir) && [ -n "$folder" ] || { echo "etcd's manifest has no --data-dir" >&2 && return 1; }
    echo "$folder"
}
etcds_image() { from=$(etcds_manifest) && sed -n "s/^ *image: *[\"']\{0,1\}\([^\"' ]*\).*/\1/p" "$from"; }
restored_in() { cat "$1/kubefab-restored" 2>/dev/null || true; } # restored_in FOLDER: by which restore its data were made
require_restored() { # require_restored FOLDER ID
    [ "$(restored_in "$1")" = "$2" ] || { echo "$1 has no data of the restore $2" >&2 && exit 1; }
}
put_back() { # what was put aside
    aside=/etc/kubernetes/kubefab-restore
    mkdir -p "$aside"
    for part in $(control_plane); do
        [ -e "$aside/$part.yaml" ] || continue
        sync "$aside/$part.yaml"
        mv "$aside/$part.yaml" "/etc/kubernetes/manifests/$part.yaml"
    done
    sync /etc/kubernetes/manifests "$aside"
    rmdir "$aside"
}
# running: the processes of the control plane in this machine's pods, PART PID a line. False where that cannot be told.
# Whose parent is elsewhere is in a machine within this one, as a node of kind's is.
running() {
    here=$(readlink /proc/self/ns/pid)
    for part in $(control_plane); do
        # The kernel keeps 15 letters of a name.
        found=$(pgrep -x "$(printf %.15s "$part")") || [ $? = 1 ] || { echo "pgrep does not say what runs" >&2 && return 1; }
        for process in $found; do
            podded "$process" || continue
            parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$process/status" 2>/dev/null) || continue
            [ "$(readlink "/proc/$parent/ns/pid" 2>/dev/null)" != "$here" ] || echo "$part $process"
        done
    done
}
parts_of() { printf '%s\n' "$1" | cut -d ' ' -f 1 | sort -u | paste -sd ' '; } # parts_of RUNNING: by their names
