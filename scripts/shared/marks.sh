# shellcheck shell=sh
# What kubefab has left of static pods' manifests and of the kubelet's configuration: of each the sha256, a copy beside it,
# and what of it hosts.yml has given. By these one that somebody has changed since is told apart from kubefab's own.
marks=/var/lib/kubefab-manifests former=/var/lib/kubefab-manifests/former # what is there until a new one is proven
static_pods="etcd kube-apiserver kube-controller-manager kube-scheduler"
sum_of() { sha256sum <"$1" | cut -d ' ' -f 1; }
path_of() {
    case $1 in
        kubelet) echo /var/lib/kubelet/config.yaml ;;
        *) printf '/etc/kubernetes/manifests/%s.yaml\n' "$1" ;;
    esac
}
# is_marked NAME: whether its file is as kubefab has left it
is_marked() { grep -sqx "sha256 $(sum_of "$(path_of "$1")")" "$marks/$1.mark"; }
# mark NAME FILE [LINE…]: this is what kubefab leaves. LINE: "given SETTING", of hosts.yml; "said SETTING SHA256", the value
# that hosts.yml gave it, which somebody's patch may have made another; "stored SETTING", which what
# kubeadm keeps in the cluster may have of hosts.yml; "taken SETTING", which kubeadm was given for that, and has read
mark() {
    name=$1 file=$2
    shift 2
    mkdir -p "$marks"
    chmod 700 "$marks"
    (umask 077 && cp "$file" "$marks/$name.yaml.new")
    {
        echo "sha256 $(sum_of "$file")"
        for line; do printf '%s\n' "$line"; done
    } >"$marks/$name.mark.new"
    for kept in yaml mark; do
        sync "$marks/$name.$kept.new"
        mv "$marks/$name.$kept.new" "$marks/$name.$kept"
    done
    sync "$marks"
}
# kept_aside NAME: where somebody else has changed it, it is kept: whatever others have written is not lost
kept_aside() {
    ! is_marked "$1" || return 0
    aside=/var/lib/kubefab-kept$(path_of "$1")
    mkdir -p "${aside%/*}"
    chmod 700 /var/lib/kubefab-kept
    cp -p --backup=numbered "$(path_of "$1")" "$aside"
    sync -f "${aside%/*}"
    echo "what was there is now $aside"
}
# mark_anew NAME FILE: as by mark, and what hosts.yml has given it stays
mark_anew() { sed '/^sha256 /d' "$marks/$1.mark" 2>/dev/null | { lines_as mark "$1" "$2"; }; }
# keep_marks NAME: what it is marked as, beside what will be the former one. That may be another: somebody may have changed it.
keep_marks() {
    mkdir -p "$former"
    rm -f "$former/$1.mark" "$former/$1.left"
    [ ! -e "$marks/$1.mark" ] || cp "$marks/$1.mark" "$former/$1.mark"
    [ ! -e "$marks/$1.yaml" ] || cp -p "$marks/$1.yaml" "$former/$1.left"
    sync -f "$former"
}
# marked_as_before NAME: as when the former one was there
marked_as_before() {
    rm -f "$marks/$1.yaml" "$marks/$1.mark"
    [ ! -e "$former/$1.left" ] || cp -p "$former/$1.left" "$marks/$1.yaml"
    [ ! -e "$former/$1.mark" ] || cp "$former/$1.mark" "$marks/$1.mark"
    sync -f "$marks"
}
forget_former() { # forget_former NAME
    rm -f "$former/$1.yaml" # first: without its marks it would be taken for one that never had any
    sync "$former"
    rm -f "$former/$1."*
    rmdir "$former" 2>/dev/null || true
}
# mark_again NAME FILE: where it is as kubefab has left it, it still is once FILE has taken its place. Both are marked, so
# that it may be cut off in between.
mark_again() {
    if cmp -s "$former/$1.yaml" "$(path_of "$1")"; then # its making anew was cut off before that was there
        marked_as_before "$1"
        forget_former "$1"
    fi
    is_marked "$1" || return 0
    {
        echo "sha256 $(sum_of "$(path_of "$1")")"
        grep -v '^sha256 ' "$marks/$1.mark" || true
    } | { lines_as mark "$1" "$2"; }
}
# keep_before: copies of what is there before kubeadm makes it anew. Those of a run that was cut off stay: what that has had
# made is there already, and kubeadm leaves alone what is as it wants it.
keep_before() {
    [ ! -e "$marks/before/whole" ] || return 0
    rm -rf "$marks/before"
    mkdir -p "$marks/before"
    chmod 700 "$marks"
    for pod in $static_pods kubelet; do
        [ ! -e "$(path_of "$pod")" ] || cp -p "$(path_of "$pod")" "$marks/before/$pod.yaml"
    done
    sync -f "$marks/before"
    : >"$marks/before/whole"
    sync "$marks/before/whole" "$marks/before" "$marks"
}
# mark_made: what is another than keep_before has kept is what kubeadm keeps now, whoever had changed it; what hosts.yml has
# given that, it has given it. A former manifest is then of the past: to put it back would take back what made it anew.
mark_made() {
    for pod in $static_pods kubelet; do
        if [ -e "$(path_of "$pod")" ] && ! cmp -s "$(path_of "$pod")" "$marks/before/$pod.yaml"; then
            sync "$(path_of "$pod")" # by its mark alone, after a power cut, it would be what somebody has changed
            mark_anew "$pod" "$(path_of "$pod")"
            [ ! -e "$former/$pod.yaml" ] || forget_former "$pod"
        fi
    done
    rm "$marks/before/whole" # first: with a part of them all else would be taken for made
    sync "$marks/before"
    rm -r "$marks/before"
}
# made_by COMMAND…: it makes them anew, and they are marked, also where it fails: what somebody changes after that, before
# the next run, is his own
made_by() {
    keep_before
    status=0
    "$@" || status=$?
    mark_made
    return "$status"
}
# forget_marks: those of another cluster, which somebody has reset by hand
forget_marks() { rm -rf "$marks"; }
# mark_all [NAME:SETTING…]: the files that kubeadm has just written; each SETTING is one of hosts.yml's
mark_all() {
    for pod in $static_pods kubelet; do
        [ -e "$(path_of "$pod")" ] || continue
        for one; do
            case $one in "$pod":*) echo "given ${one#*:}" ;; esac
        done | { lines_as mark "$pod" "$(path_of "$pod")"; }
    done
}
# lines_as COMMAND ARG…: runs it with the lines of standard input behind its arguments
lines_as() {
    while read -r line; do set -- "$@" "$line"; done
    "$@"
}
