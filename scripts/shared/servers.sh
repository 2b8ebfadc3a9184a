# shellcheck shell=sh
# servers: the processes of this host's API server. It is a pod in the host's network; those of other clusters that run
# here, in pods or as kind's, are in networks of their own.
servers() {
    for server in $(pgrep -x kube-apiserver || true); do
        [ "$(readlink "/proc/$server/ns/net")" = "$(readlink /proc/self/ns/net)" ] || continue
        ! grep -qs kubepods "/proc/$server/cgroup" || printf '%s\n' "$server"
    done
}
# end_servers: its kubelet starts it anew, at once.
end_servers() {
    for server in $(servers); do kill -KILL "$server" || true; done
}
# ended PROCESS SECONDS: waits for its end; false where it does not come.
ended() { timeout "$2" tail --pid "$1" -s 0.2 -f /dev/null; }
