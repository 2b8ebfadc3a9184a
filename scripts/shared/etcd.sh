# shellcheck shell=sh
# Asks the etcd of this host's control plane by the programs of its own image. They run from its container's files,
# below /proc/PID/root: no runtime, kubelet or API server has to answer, and nothing is copied, installed or started
# beside it. Upstream links them statically (etcd-io/etcd, scripts/build_lib.sh: CGO_ENABLED=0).
. "${0%/*}/shared/named.sh"
. "${0%/*}/shared/podded.sh"

# find_etcd LISTENERS: sets $etcd, its process id, from what `ss -Hltnp` printed; false where there is none. Others'
# etcds may run here too, but only the control plane's is in a pod.
find_etcd() {
    for etcd in $(printf '%s\n' "$1" | sed -n 's/.*("etcd",pid=\([0-9]*\),.*/\1/p' | sort -u); do
        ! podded "$etcd" || return 0
    done
    return 1
}
require_etcd() { find_etcd "$(named ss -Hltnp)" || { echo "no etcd of a control plane runs here" >&2 && exit 1; }; }
# etcd_flag NAME: the value that the running etcd was given; the manifest may say something newer.
etcd_flag() { tr '\0' '\n' <"/proc/$etcd/cmdline" | sed -n "s/^--$1=//p" | tail -n 1; }
# etcd_program NAME: where its image has this program; false where it has none
etcd_program() {
    beside=$(readlink "/proc/$etcd/exe") || return 1
    program=/proc/$etcd/root${beside%/*}/$1
    [ -x "$program" ] && printf '%s\n' "$program"
}
# run_etcds SECONDS NAME ARG…: runs a program of its image, for no longer than this, without the login's environment:
# etcdctl refuses a setting that is given twice, and would use a proxy.
run_etcds() {
    limit=$1
    found=$(etcd_program "$2") || { echo "the image of this etcd has no $2" >&2 && return 1; }
    shift 2
    timeout --kill-after 5 "$limit" env -i ETCDCTL_API=3 "$found" "$@"
}
# ask_etcd SECONDS ARG…: etcdctl, to the member here only, with the member's own certificate, which kubeadm allows.
ask_etcd() {
    limit=$1
    shift
    url=$(etcd_flag listen-client-urls | sed 's/,.*//; s/0\.0\.0\.0/127.0.0.1/; s/\[::\]/[::1]/')
    case $url in
        https:*)
            root=/proc/$etcd/root
            set -- --cacert "$root$(etcd_flag trusted-ca-file)" --cert "$root$(etcd_flag cert-file)" \
                --key "$root$(etcd_flag key-file)" "$@"
            ;;
    esac
    run_etcds "$limit" etcdctl --endpoints "$url" --dial-timeout 3s "$@"
}
