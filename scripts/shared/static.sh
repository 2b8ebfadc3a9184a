# shellcheck shell=sh
# The static pods of this host's control plane.
. "${0%/*}/shared/podded.sh"
etcds_manifest() { # wherever it is just now; false where this is no master
    for folder in manifests kubefab-restore; do
        [ ! -e "/etc/kubernetes/$folder/etcd.yaml" ] || { echo "/etc/kubernetes/$folder/etcd.yaml" && return; }
    done
    echo "there is no manifest of etcd's" >&2
    return 1
}
# flag_in MANIFEST NAME: the values that it gives this flag, a line each
flag_in() { sed -n "s/^ *- *[\"']\{0,1\}--$2=//p" "$1" | sed "s/[\"']\{0,1\} *$//"; }
# image_of MANIFEST: the image of the container that has the pod's name, else of the first one: a user's patch may have
# added containers.
image_of() {
    called=${1##*/} called=${called%.yaml} first=
    while name= && read -r name value || [ -n "$name" ]; do
        [ "$name" != - ] || name=${value%% *} value=${value#* }
        [ "$name" = image: ] || continue
        value=${value%% *} value=${value#[\"\']} value=${value%[\"\']}
        case /$value in */"$called"[:@]*) first=$value && break ;; esac
        first=${first:-$value}
    done <"$1"
    printf '%s\n' "$first"
}
# on_host MANIFEST FILE: where on the host its container's FILE is, by the volume with the longest matching path;
# nothing where that volume is not the host's; FILE itself where no volume matches
on_host() {
    awk -v file="$2" '
        function bare(path) { gsub(/"|\047/, "", path); sub(/\/+$/, "", path); return path }
        function item() { # what a list has had is whole
            if (mount != "") { mounts[mount] = name; within[mount] = part }
            else if (host != "") hosts[name] = host
            name = mount = host = part = in_host = ""
        }
        sub(/^ *- /, "") { item() }
        $1 == "mountPath:" { mount = bare($2) }
        $1 == "subPath:" { part = "/" bare($2) }
        $1 == "hostPath:" { in_host = 1 }
        $1 == "path:" && in_host { host = bare($2) }
        $1 == "name:" && name == "" { name = bare($2) }
        END {
            item()
            for (one in mounts) if (index(file "/", one "/") == 1 && length(one) > length(best)) best = one
            name = mounts[best]
            if (best == "") print file
            else if (name in hosts) print hosts[name] within[best] substr(file, length(best) + 1)
        }' "$1"
}
etcds_folder() { # the folder of its data on the host; false where its manifest does not say
    from=$(etcds_manifest) && folder=$(on_host "$from" "$(flag_in "$from" data-dir | tail -n 1)") && [ -n "$folder" ] ||
        { echo "etcd's manifest has no --data-dir" >&2 && return 1; }
    echo "$folder"
}
# etcds_place: that folder; kubeadm's usual one where the manifest does not say
etcds_place() { etcds_folder 2>/dev/null || echo /var/lib/etcd; }
etcds_flag() { from=$(etcds_manifest) && flag_in "$from" "$1"; }
# its_own: the address that this host's API server advertises. Every server certificate of kubeadm's has it.
its_own() {
    api=/etc/kubernetes/manifests/kube-apiserver.yaml
    address=$(flag_in "$api" advertise-address | tail -n 1) port=$(flag_in "$api" secure-port | tail -n 1)
    case $address in *:*) address="[$address]" ;; esac
    echo "$address:${port:-6443}"
}
# static_pod NAME: the processes of this static pod, whose program has the same name. False where that cannot be told.
# They are in a pod and in this host's network. Others' programs of that name may be in both, too: those in a machine
# within this one, as a node of kind, have a parent in another pid namespace; and another etcd has other data.
static_pod() {
    here=$(readlink /proc/self/ns/pid) network=$(readlink /proc/self/ns/net)
    data=--data-dir=$([ "$1" != etcd ] || etcds_flag data-dir 2>/dev/null || true)
    # The kernel keeps only 15 letters of a name, which Calico's kube-controllers shares.
    found=$(pgrep -x "$(printf %.15s "$1")") || [ $? = 1 ] || { echo "pgrep does not say what runs" >&2 && return 1; }
    for process in $found; do
        podded "$process" || continue
        [ "$(readlink "/proc/$process/ns/net")" = "$network" ] || continue
        parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$process/status" 2>/dev/null) || continue
        [ "$(readlink "/proc/$parent/ns/pid")" = "$here" ] || continue
        words=$({ tr '\0' '\n' <"/proc/$process/cmdline"; } 2>/dev/null) || continue # it has ended
        called=$(printf '%s\n' "$words" | head -n 1)
        [ "${called##*/}" = "$1" ] || continue
        [ "$data" = --data-dir= ] || ! printf '%s\n' "$words" | grep -e '^--data-dir=' | grep -qvxFe "$data" || continue
        printf '%s\n' "$process"
    done
}
