# shellcheck shell=sh
# A snapshot of this host's etcd, which find_etcd of shared/etcd.sh has found.
# save_snapshot SECONDS FILE: saves one, has etcd's own tool check it, and prints its word in JSON. SECONDS: for each
save_snapshot() {
    ask_etcd "$1" snapshot save "$2" >&2 || return
    # etcdutl's since 3.5, and etcdctl's until then.
    tool=etcdutl
    etcd_program etcdutl >/dev/null || tool=etcdctl
    run_etcds "$1" "$tool" snapshot status "$2" --write-out json
}
