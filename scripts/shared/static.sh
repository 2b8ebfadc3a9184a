# shellcheck shell=sh
. "${0%/*}/shared/podded.sh"
# static_pod NAME: the processes of a static pod of the control plane. They are in a pod's control group and in this host's
# network; another of the same name is in neither, or in one alone.
static_pod() {
    for process in $(pgrep -x "$1" || true); do
        podded "$process" || continue
        [ "$(readlink "/proc/$process/ns/net")" = "$(readlink /proc/self/ns/net)" ] || continue
        printf '%s\n' "$process"
    done
}
