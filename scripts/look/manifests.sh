# shellcheck shell=sh
# shellcheck disable=SC2154  # shared/marks.sh sets $marks and $static_pods
# What this host's static pods and kubelet are told by files, what these were as kubefab left them, and what runs by them.
. "${0%/*}/shared/marks.sh"
. "${0%/*}/shared/static.sh"
marked() { # marked NAME: what is there, and what was left
    [ ! -e "$(path_of "$1")" ] || fact "now $1 $(heard base64 -w 0 "$(path_of "$1")")"
    [ ! -e "$marks/$1.yaml" ] || fact "left $1 $(heard base64 -w 0 "$marks/$1.yaml")"
    [ ! -e "$marks/former/$1.yaml" ] || fact "halfway $1"
    [ -e "$marks/$1.mark" ] || return 0
    while read -r what value; do
        case $what in sha256 | given | said | stored | taken) fact "$what $1 $value" ;; esac
    done <"$marks/$1.mark"
}
if [ -e /etc/kubernetes/kubelet.conf ]; then
    marked kubelet
    flags=/var/lib/kubelet/kubeadm-flags.env
    [ ! -e "$flags" ] || heard sed -n 's/^KUBELET_KUBEADM_ARGS=//p' "$flags" | tr -s " \"'" '\n' |
        while read -r word; do [ -z "$word" ] || fact "kubelet_word $word"; done
    [ ! -e "$(path_of kubelet)" ] || fact "kubelet_written $(stat -c %.6Y "$(path_of kubelet)")"
fi
[ -e /etc/kubernetes/admin.conf ] || exit 0
for pod in $static_pods; do
    marked "$pod"
    # Not %Y: one that is put back is as old as it was.
    ! written=$(stat -c %Z "$(path_of "$pod")" 2>/dev/null) || fact "written_ago $pod $(($(date +%s) - written))"
    processes=$(static_pod "$pod" 2>&1) || untold "$processes"
    for process in $processes; do
        words=$(base64 -w 0 "/proc/$process/cmdline") || continue # it has ended
        [ -z "$words" ] || fact "running $pod $words"
    done
done
