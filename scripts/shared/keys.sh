# shellcheck shell=sh
# The parts of a control plane that no snapshot of etcd brings back. Needs shared/etcd.sh.
. "${0%/*}/shared/pki.sh"
. "${0%/*}/shared/static.sh"
key() { # key NAME FILE
    [ -e "$2" ] || return 0
    body=$(base64 -w 0 <"$2") || return
    printf '%s %s\n' "$1" "$body"
}
# print_keys: NAME and content in base64, a line each: the authorities' keys, the static pods' manifests, what encrypts
# Secrets in etcd, and kubeadm's own configuration as etcd has it (JSON around protobuf): no API server has to run.
print_keys() (
    cd /etc/kubernetes || exit
    for name in $(shared_keys); do key "pki/$name" "pki/$name"; done
    for manifest in manifests/*.yaml; do
        [ -e "$manifest" ] || continue
        key "$manifest" "$manifest"
        flag_in "$manifest" encryption-provider-config | while read -r file; do
            key encryption-provider-config "$(on_host "$manifest" "$file")"
        done
    done
    find_etcd "$(named ss -Hltnp)" || exit 0
    if answer=$(ask_etcd 10 get /registry/configmaps/kube-system/kubeadm-config --write-out json 2>/dev/null); then
        printf 'kubeadm-config %s\n' "$(printf '%s' "$answer" | base64 -w 0)"
    fi
)
