# shellcheck shell=sh
# kubefab's own haproxy on a host: a unit and files of its own, apart from anybody else's haproxy.
. "${0%/*}/shared/written.sh"

# The mark exists while haproxy.service may run only because kubefab installed the package. Where somebody has edited
# the package's files, they use the service by now, and it goes on.
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
# kubefab's patches for kubeadm, on a master.
patches() { [ ! -e /etc/kubefab/patches/etcd+json.yaml ] || echo /etc/kubefab/patches/etcd+json.yaml; }
remove_endpoint() {
    stop_packages_haproxy
    [ -n "$(endpoints)" ] || return 0
    systemctl disable --now kubefab-endpoint 2>/dev/null || is_stopped kubefab-endpoint
    endpoints | while read -r path; do
        [ "$path" = /etc/kubefab/ca.crt ] || is_as_written "$path" || keep "$path"
        rm "$path"
    done
    systemctl daemon-reload
    rmdir /etc/kubefab 2>/dev/null || true # it may hold more than haproxy's files
}
