# shellcheck shell=sh
. "${0%/*}/shared/static.sh"
# servers: the processes of this host's API server.
servers() { static_pod kube-apiserver; }
# end_servers: its kubelet starts it anew, at once.
end_servers() {
    for server in $(servers); do kill -KILL "$server" || true; done
}
# ended PROCESS SECONDS: waits for its end; false where it does not come.
ended() { timeout "$2" tail --pid "$1" -s 0.2 -f /dev/null; }
