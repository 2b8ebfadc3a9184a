# shellcheck shell=sh
# Marks: for each static pod's manifest and the kubelet's configuration, as kubefab has left it, the sha256, a copy, and
# the settings that hosts.yml gave it. By these a file that somebody has changed since is told from kubefab's own.
marks=/var/lib/kubefab-manifests former=/var/lib/kubefab-manifests/former # the former file, until a new one is proven
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
# mark NAME FILE [LINE…]: marks FILE as kubefab's. LINE: "given SETTING", by hosts.yml; "said SETTING SHA256", of the
# value in hosts.yml, which a user's patch may have changed; "stored SETTING", which what kubeadm keeps in the cluster
# may have from hosts.yml; "taken SETTING", which kubeadm has read for that
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
# kept_aside NAME: copies the file aside where somebody else has changed it, so that nothing of theirs is lost
kept_aside() {
    ! is_marked "$1" || return 0
    aside=/var/lib/kubefab-kept$(path_of "$1")
    mkdir -p "${aside%/*}"
    chmod 700 /var/lib/kubefab-kept
    cp -p --backup=numbered "$(path_of "$1")" "$aside"
    sync -f "${aside%/*}"
    echo "what was there is now $aside"
}
# mark_anew NAME FILE: like mark, and keeps the lines on what hosts.yml has given it
mark_anew() { sed '/^sha256 /d' "$marks/$1.mark" 2>/dev/null | { lines_as mark "$1" "$2"; }; }
# keep_marks NAME: copies its mark beside the former file, from which it may differ: somebody may have changed that.
keep_marks() {
    mkdir -p "$former"
    rm -f "$former/$1.mark" "$former/$1.left"
    [ ! -e "$marks/$1.mark" ] || cp "$marks/$1.mark" "$former/$1.mark"
    [ ! -e "$marks/$1.yaml" ] || cp -p "$marks/$1.yaml" "$former/$1.left"
    sync -f "$former"
}
# marked_as_before NAME: puts the former file's mark back
marked_as_before() {
    rm -f "$marks/$1.yaml" "$marks/$1.mark"
    [ ! -e "$former/$1.left" ] || cp -p "$former/$1.left" "$marks/$1.yaml"
    [ ! -e "$former/$1.mark" ] || cp "$former/$1.mark" "$marks/$1.mark"
    sync -f "$marks"
}
forget_former() { # forget_former NAME
    rm -f "$former/$1.yaml" # goes first: without its mark it would be taken for one that never had any
    sync "$former"
    rm -f "$former/$1."*
    rmdir "$former" 2>/dev/null || true
}
# mark_again NAME FILE: where its file is marked, marks FILE, which is to take its place, too: both stay marked, so that
# a run may be killed in between.
mark_again() {
    if cmp -s "$former/$1.yaml" "$(path_of "$1")"; then # a run was killed before the new file was there
        marked_as_before "$1"
        forget_former "$1"
    fi
    is_marked "$1" || return 0
    {
        echo "sha256 $(sum_of "$(path_of "$1")")"
        grep -v '^sha256 ' "$marks/$1.mark" || true
    } | { lines_as mark "$1" "$2"; }
}
# keep_before: copies the files before kubeadm makes them anew. Copies of a run that was killed stay: what it made is
# there already, and kubeadm does not remake what is as it should be.
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
# mark_made: marks each file that differs from keep_before's copy, since kubeadm has made it, whoever had changed it
# before; its lines on hosts.yml stay. A former manifest is forgotten: to put it back would undo what made this one.
mark_made() {
    for pod in $static_pods kubelet; do
        if [ -e "$(path_of "$pod")" ] && ! cmp -s "$(path_of "$pod")" "$marks/before/$pod.yaml"; then
            sync "$(path_of "$pod")" # else, after a power cut, its mark alone would make it look changed by somebody
            mark_anew "$pod" "$(path_of "$pod")"
            [ ! -e "$former/$pod.yaml" ] || forget_former "$pod"
        fi
    done
    rm "$marks/before/whole" # goes first: a file whose copy is gone would count as made by kubeadm
    sync "$marks/before"
    rm -r "$marks/before"
}
# made_by COMMAND…: runs what makes them anew, and marks them even where it fails: what somebody changes later, before
# the next run, is then seen as theirs
made_by() {
    keep_before
    status=0
    "$@" || status=$?
    mark_made
    return "$status"
}
# forget_marks: forgets the marks of another cluster, which somebody has reset by hand
forget_marks() { rm -rf "$marks"; }
# mark_all [NAME:SETTING…]: marks the files that kubeadm has just written; each SETTING was given by hosts.yml
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
