# shellcheck shell=sh
# What of haproxy is kubefab's on a host: a unit of its own, its files, and nothing of anybody else's haproxy.

# The mark is there while haproxy.service may run because kubefab installed its package. Where somebody has edited what
# that brought, it serves him by now.
stop_packages_haproxy() {
    [ -e /var/lib/kubefab/haproxy ] || return 0
    [ -n "$(dpkg --verify haproxy 2>/dev/null)" ] || systemctl disable --now haproxy
    rm /var/lib/kubefab/haproxy
}
endpoints() {
    for path in /etc/kubefab/ca.crt /etc/kubefab/endpoint.cfg /etc/systemd/system/kubefab-endpoint.service; do
        [ ! -e "$path" ] || echo "$path"
    done
}
# What kubeadm is to patch on a master.
patches() { [ ! -e /etc/kubefab/patches/etcd+json.yaml ] || echo /etc/kubefab/patches/etcd+json.yaml; }
remove_endpoint() {
    stop_packages_haproxy
    [ -n "$(endpoints)" ] || return 0
    systemctl disable --now kubefab-endpoint 2>/dev/null || is_stopped kubefab-endpoint
    endpoints | while read -r path; do rm "$path"; done
    systemctl daemon-reload
    rmdir /etc/kubefab 2>/dev/null || true # it has what is not haproxy's, too
}
