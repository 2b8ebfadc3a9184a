# shellcheck shell=sh
# What of Kubernetes is on this host: whose node it is, and what is left of others.
. "${0%/*}/shared/static.sh"
why=$(astray)
[ -z "$why" ] || untold "$why"
conf() { # conf FILE: the server and the CA a kubeconfig trusts
    while name= && read -r name value || [ -n "$name" ]; do
        case $name in
            server:) fact "$2_server $value" ;;
            certificate-authority-data:) fact "$2_ca $value" ;;
        esac
    done <"/etc/kubernetes/$1"
}
[ ! -e /etc/kubernetes/admin.conf ] || conf admin.conf admin
[ ! -e /etc/kubernetes/kubelet.conf ] || conf kubelet.conf kubelet
# Which runtime the kubelet here uses: newer releases say it in a file, dockershim's nowhere.
for file in /var/lib/kubelet/kubeadm-flags.env /var/lib/kubelet/instance-config.yaml; do
    [ -e "$file" ] || continue
    while line= && read -r line || [ -n "$line" ]; do
        case $line in
            containerRuntimeEndpoint:* | *--container-runtime-endpoint=*) socket=${line##*untimeEndpoint: } socket=${socket##*-endpoint=} ;;
            *--network-plugin=*) socket=/var/run/dockershim.sock ;;
            *) continue ;;
        esac
        socket=${socket#\"}
        fact "cri_socket ${socket%%[\" ]*}"
    done <"$file"
done
# Without the file of name servers that it is told of, a kubelet starts no pod.
[ ! -e /run/systemd/resolve/resolv.conf ] || fact "resolved yes"
if grep -qs -e --resolv-conf /etc/default/kubelet /var/lib/kubelet/kubeadm-flags.env; then
    fact "resolver_flag yes"
elif [ -e /var/lib/kubelet/config.yaml ]; then
    resolver=$(bare "$(heard sed -n 's/^resolvConf: *//p' /var/lib/kubelet/config.yaml)")
    [ -z "$resolver" ] || [ -e "$resolver" ] || fact "lacks_resolver $resolver"
fi
for file in /etc/kubernetes/bootstrap-kubelet.conf /run/kubefab/discovery.conf; do
    [ ! -e "$file" ] || fact "token_left yes"
done
if [ -e /etc/kubernetes/pki/ca.crt ] && [ ! -e /etc/kubernetes/kubelet.conf ]; then
    fact "pki_left yes"
fi
begun() { # begun MARK FACT: since when, in seconds of the epoch; 1 where the mark does not say
    [ -e "/var/lib/kubefab/$1" ] || return 0
    since=
    read -r since <"/var/lib/kubefab/$1"
    case $since in '' | 0* | *[!0-9]* | ???????????*) since=1 ;; esac
    fact "$2 $since"
}
begun init init_begun
begun join join_begun
begun join-master master_begun
begun tear-down tear_down_begun
begun restore restore_begun
etcds=$(etcds_place)
if [ -d "$etcds/member" ] || [ -d /var/lib/etcd/member ]; then fact "etcd_data yes"; fi
# An etcd that is told that its cluster exists, and finds no data, leaves a folder with an empty database, and no log.
[ -z "$(find "$etcds/member/wal/" -name '*.wal' -print -quit 2>/dev/null)" ] || fact "etcd_log yes"
for manifest in /etc/kubernetes/manifests/*.yaml; do
    [ -e "$manifest" ] || continue
    fact "manifest ${manifest##*/}"
    image=$(image_of "$manifest")
    [ -z "$image" ] || fact "static ${manifest##*/} $image"
done
# API server and etcd tell of themselves.
for name in kube-controller-manager kube-scheduler; do
    [ -e /etc/kubernetes/admin.conf ] || break
    if found=$(static_pod "$name" 2>&1); then
        if [ -n "$found" ]; then fact "controller $name runs"; else fact "controller $name none"; fi
    else
        fact "controller $name $found"
    fi
done
for conf in /etc/cni/net.d/*; do
    [ ! -e "$conf" ] || fact "cni ${conf##*/}"
done
# flanneld writes it at each start, and no boot keeps it.
if [ -e /run/flannel/subnet.env ]; then
    fact "flannel yes"
    while IFS='=' read -r name value; do
        case $name in FLANNEL_SUBNET) fact "subnet $value" ;; esac
    done </run/flannel/subnet.env
fi
for link in /sys/class/net/cni0 /sys/class/net/flannel[.-]*; do # flannel.1, flannel.ipip, flannel-wg: by its backend
    [ ! -e "$link" ] || fact "link ${link##*/}"
done

# ~/.kube/config of whoever came in over SSH, whether as root or by sudo
user=${SUDO_USER:-root}
config=$(silent=kubeconfig heard getent passwd "$user" | cut -d: -f6)/.kube/config
leads_to() { # leads_to KUBECONFIG: the CA of its cluster, and the certificate of its user
    kubectl --kubeconfig "$1" config view --raw --flatten --minify -o \
        'jsonpath={.clusters[0].cluster.certificate-authority-data} {.users[0].user.client-certificate-data}'
}
# Somebody's own may have more contexts, or a namespace: does it lead to this cluster, and is it not refused there?
# Where nobody says so, as an API server that is busy or a login that waits for a person, it is left as it is.
works() {
    [ -e /etc/kubernetes/admin.conf ] || return 1
    ours=$(leads_to /etc/kubernetes/admin.conf)
    [ -n "$ours" ] || return 0
    theirs=$(leads_to "$config")
    [ -n "$theirs" ] && [ "${ours% *}" = "${theirs% *}" ] || return 1
    [ "$ours" != "$theirs" ] || return 0
    said=$(timeout "$(at_most 10)" kubectl --kubeconfig "$config" --cache-dir /run/kubefab/kubectl --request-timeout 5s \
        get namespace default 2>&1) || case $said in *Unauthorized* | *certificate*) return 1 ;; esac
}
if cmp -s /etc/kubernetes/admin.conf "$config"; then
    fact "kubeconfig same"
elif [ -e "$config" ]; then
    if works; then fact "kubeconfig works"; else fact "kubeconfig other"; fi
fi
