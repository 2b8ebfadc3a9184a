# shellcheck shell=sh
. "${0%/*}/shared/podded.sh"
# contained NAME: the process ids of what is called so and was started as a container by this machine's own containerd,
# or Docker's. k3s has another address, and the nodes of kind and k3d have pid namespaces of their own.
contained() {
    shims=$(pgrep --ns $$ --nslist pid -f '^[^ ]*/containerd-shim.* -address (/var)?/run/(docker/)?containerd/' | paste -sd,)
    [ -z "$shims" ] || pgrep -P "$shims" -x "$1" || [ $? = 1 ]
}
# restart_contained NAME: the kubelet starts its container anew.
restart_contained() {
    for process in $(contained "$1"); do
        ! podded "$process" || kill "$process"
    done
}
