# shellcheck shell=sh
. "${0%/*}/shared/podded.sh"
# contained NAME: the ids of processes of this name that this machine's own containerd, or Docker's, runs in containers.
# k3s has another address, and the nodes of kind and k3d have pid namespaces of their own.
contained() {
    shims=$(pgrep --ns $$ --nslist pid -f '^[^ ]*/containerd-shim.* -address (/var)?/run/(docker/)?containerd/' | paste -sd,)
    [ -z "$shims" ] || pgrep -P "$shims" -x "$1" || [ $? = 1 ]
}
# restart_contained NAME: ends it, so that the kubelet starts its container anew.
restart_contained() {
    for process in $(contained "$1"); do
        ! podded "$process" || kill "$process"
    done
}
