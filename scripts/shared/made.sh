# shellcheck shell=sh
# Tells what Kubernetes and kubefab have made on a host, by its names, from what is somebody else's. It is part of
# scripts/tear-down.sh, which removes it, and of scripts/look/leftovers.sh, which lists it before anybody is asked.

. "${0%/*}/shared/stopped.sh"

is_control_plane() {
    for one in /etc/kubernetes/admin.conf /etc/kubernetes/manifests/kube-apiserver.yaml /var/lib/etcd/member \
        /var/lib/kubefab/init /var/lib/kubefab/join-master; do
        [ ! -e "$one" ] || return 0
    done
    return 1
}

# Where $joined is set, only what kubefab's join of a worker made is meant: etcd's data, say, are somebody else's.
may_be_control_plane() { [ -z "${joined:-}" ] && is_control_plane; }

# A worker's pki has only the CA's certificate. With a key beside it, it is a copy of a master's, perhaps the only one.
is_copied_pki() { ! may_be_control_plane && [ -n "$(find /etc/kubernetes/pki/ -name '*.key' 2>/dev/null)" ]; }

# An authority, say, that somebody has given a kubeadm init of kubefab's: its marker tells of it until its end.
given() { sed 1d /var/lib/kubefab/init 2>/dev/null || true; }

names() { made | grep -vxF -e "$(given)"; }
# Sources: kubeadm's constants.go and certlist.go, the kubelet's kubelet_getters.go and the *_state of its managers.
made() {
    printf '/etc/kubernetes/%s\n' kubelet.conf bootstrap-kubelet.conf
    [ -n "${joined:-}" ] || {
        printf '/etc/kubernetes/%s\n' admin.conf super-admin.conf controller-manager.conf scheduler.conf
        printf '/etc/kubernetes/manifests/%s.yaml\n' etcd kube-apiserver kube-controller-manager kube-scheduler
        printf '/var/lib/etcd/%s\n' member kubefab-restore kubefab-restore.part
        printf '/etc/kubernetes/%s\n' pki-remade kubefab-restore
    }
    printf '/var/lib/kubelet/%s\n' config.yaml instance-config.yaml kubeadm-flags.env pki pods pods-api plugins \
        plugins_registry plugin-containers device-plugins pod-resources checkpoints image_manager \
        cpu_manager_state memory_manager_state dra_manager_state allocated_pods_state actuated_pods_state \
        pod_status_manager_state graceful_node_shutdown_state
    is_copied_pki || echo /etc/kubernetes/pki/ca.crt
    ! may_be_control_plane || keys
}
keys() { # of a control plane, with their certificates
    printf '/etc/kubernetes/pki/%s\n' ca.key sa.key sa.pub front-proxy-ca.crt front-proxy-ca.key \
        front-proxy-client.crt front-proxy-client.key apiserver.crt apiserver.key apiserver-kubelet-client.crt \
        apiserver-kubelet-client.key apiserver-etcd-client.crt apiserver-etcd-client.key etcd/ca.crt etcd/ca.key \
        etcd/server.crt etcd/server.key etcd/peer.crt etcd/peer.key etcd/healthcheck-client.crt \
        etcd/healthcheck-client.key
}
# `.kubelet-keep` belongs to the kubelet's package.
entries() {
    find /etc/kubernetes/ /etc/kubernetes/manifests/ /etc/kubernetes/pki/ /etc/kubernetes/pki/etcd/ \
        /etc/kubernetes/tmp/ /var/lib/kubelet/ /var/lib/etcd/ -mindepth 1 -maxdepth 1 \
        ! -name lost+found ! -name .kubelet-keep ! -name '*[[:cntrl:]]*' 2>/dev/null |
        grep -vxE '/etc/kubernetes/(manifests|pki|pki/etcd|tmp|tmp/kubeadm-.*)' | sort
}
own() { entries | grep -xF -e "$(names)" || true; }
foreign() { entries | grep -vxF -e "$(names)" || true; }
# `kubeadm reset` empties these folders, and the next init or join wants them empty.
to_set_aside() {
    pki=$(! is_copied_pki || echo '|/etc/kubernetes/pki')
    {
        foreign | grep -E "^(/etc/kubernetes/manifests|/var/lib/kubelet|/var/lib/etcd$pki)/"
        foreign | grep -xF -e "$(given)"
    } | sort -u || true
}
# What has come since: all of flannel's and rook's, whatever the names, and kubeadm's copies; and the pods' addresses,
# whose network is cbr0 in flannel's own configuration, since podman and nerdctl keep theirs beside them. Names with
# control characters are left out: one of several lines would be read as several names, each of which is deleted.
state() {
    find /run/flannel/ /var/lib/rook/ -mindepth 1 -maxdepth 1 ! -name '*[[:cntrl:]]*' 2>/dev/null || true
    find /etc/kubernetes/tmp/ -mindepth 1 -maxdepth 1 -name 'kubeadm-*' ! -name '*[[:cntrl:]]*' 2>/dev/null || true
    addresses | grep -E "$pods_addresses" || true
}
addresses() { find /var/lib/cni/ ! -type d ! -path '*[[:cntrl:]]*' 2>/dev/null || true; }
pods_addresses='^/var/lib/cni/(flannel/|networks/cbr0/|(cache/)?results/(cbr0|cni-loopback)-)'
others_addresses() { addresses | grep -vE "$pods_addresses" | sed 's|/[^/]*$||' | sort -u; }

# REAL FOLDER, a line each: the folders that `entries` and `state` walk through may be links, to a bigger disk, say.
links() {
    for folder in /etc/kubernetes /etc/kubernetes/manifests /etc/kubernetes/pki /etc/kubernetes/pki/etcd \
        /etc/kubernetes/tmp /etc/kubefab /etc/kubefab/patches /var/lib/kubelet /var/lib/etcd /var/lib/cni \
        /var/lib/kubefab /var/lib/rook /run/flannel; do
        real=$(readlink -f "$folder") || continue # a folder above it is not there
        [ "$real" = "$folder" ] || printf '%s/\t%s/\n' "${real%/}" "$folder"
    done
}
# The kernel tells of a mount by its real path; it is told by the name below our folder, too. False where nobody tells
# any, which is not to have none: a bind mount is on the same file system, and find's -xdev would not see it.
mounts() {
    cut -d ' ' -f 5 /proc/self/mountinfo | while IFS= read -r path; do printf '%b\n' "$path"; done |
        links=$(links) awk '
            BEGIN { count = split(ENVIRON["links"], links, "\n") }
            {
                print
                split("", told)
                for (n = 1; n <= count; n++) {
                    split(links[n], link, "\t")
                    name = link[2] substr($0, length(link[1]) + 1)
                    if (index($0, link[1]) == 1 && !told[name]++) print name
                }
            }
            END { exit NR == 0 }'
}
kubelets_mounts() {
    mounted=$(mounts) || { echo "nobody tells what is mounted here" >&2 && return 1; }
    printf '%s\n' "$mounted" | grep -E '^/var/lib/kubelet/(pods|plugins)/' || [ $? = 1 ]
}
# Why nothing may be removed here, a line each.
in_the_way() {
    mounted=$(mounts) || echo "nobody tells what is mounted here: ask findmnt, and see dmesg for what was killed"
    printf '%s\n' "$mounted" |
        grep -E '^(/etc/kube(rnetes|fab)|/var/lib/(kubelet|etcd|cni|kubefab|rook)|/run/flannel)/' |
        grep -vE '^/var/lib/kubelet/(pods|plugins)/' | sed 's/.*/& is a mount, and would be emptied with what it is in/'
    # Its snap makes this link; and it may be begun again.
    real=$(readlink -f /var/lib/kubelet) || true
    case $real in /var/snap/*) echo "/var/lib/kubelet is a link to $real, which is MicroK8s': move the link away" ;; esac
    others="k3s, RKE2, k0s or MicroK8s"
    if units=$(timeout -k 2 20 systemctl list-units --plain --no-legend --state=active 'k3s*.service' 'rke2-*.service' \
        'k0s*.service' 'snap.microk8s.*.service' 2>&1); then
        printf '%s\n' "$units" | sed -n 's/^\([^ ]\{1,\}\).*/\1 runs, whose pods may be below \/var\/lib\/kubelet too/p'
    else
        echo "systemd does not say whether $others runs here: ${units:-no answer}"
    fi
    # Classes, since this very text is in the command line of the change that it is a part of.
    containers=$(ours ' -address (/run/k[03]s|/var/snap/micro[k]8s)/' 2>&1) && status=0 || status=$?
    case $status in
        0) echo "containers of $others run, which may be below /var/lib/kubelet too" ;;
        1) ;;
        *) echo "pgrep does not say whether containers of $others run here: ${containers:-no answer}" ;;
    esac
}

# Only the CRI's containers have this label, and not those that others run in the same namespace by hand.
in_containerd() { timeout -k 2 20 ctr --connect-timeout 5s -n k8s.io containers ls -q 'labels."io.cri-containerd.kind"'; }
# The label of cri-dockerd and dockershim. Names prove nothing: a compose project may be called k8s.
in_docker() { timeout -k 2 20 docker ps --all --quiet --filter label=io.kubernetes.docker.type; }
runs_containerd() { [ -S /run/containerd/containerd.sock ] && command -v ctr >/dev/null; }
runs_docker() { [ -S /run/docker.sock ] && command -v docker >/dev/null && ! is_stopped docker; }
# Processes inside nodes of kind and k3d are in other pid namespaces. Status 1: there are none
ours() { command -v pgrep >/dev/null || return 1; pgrep --ns $$ --nslist pid -f "$@"; }
# The ids of containers that others run in the CRI's namespace by hand; those that containerd has lost are not listed.
by_hand() {
    runs_containerd || return 0
    all=$(timeout -k 2 20 ctr --connect-timeout 5s -n k8s.io containers ls -q) && cri=$(in_containerd) || return 1
    printf '%s\n' "$all" | grep -vxF -e "$cri" || [ $? = 1 ]
}
shims() {
    found=$(ours -a '^[^ ]*/containerd-shim[^ ]* -namespace k8s.io .*-address /run/containerd/containerd.sock( |$)') ||
        [ $? = 1 ] || return 1
    [ -n "$found" ] || return 0
    spared=$(by_hand) || return 1
    printf '%s\n' "$found" | while read -r process command; do
        id=${command#* -id }
        printf '%s\n' "$spared" | grep -qxF -e "${id%% *}" || echo "$process"
    done
}

# kube-proxy's IPVS virtual servers, at the addresses of its own link: `-t ADDRESS:PORT`, or -u, a line each.
virtual_servers() {
    [ -e /sys/class/net/kube-ipvs0 ] || return 0
    link=$(ip -o -4 addr show dev kube-ipvs0) || return 1
    cat /proc/net/ip_vs 2>/dev/null |
        sed -n 's/^\([TU]\)[CD]P  *\(..\)\(..\)\(..\)\(..\):\(....\) .*/\1 0x\2 0x\3 0x\4 0x\5 0x\6/p' |
        while read -r protocol a b c d port; do
            address=$((a)).$((b)).$((c)).$((d))
            ! printf '%s' "$link" | grep -qF " inet $address/" || echo "-$protocol $address:$((port))"
        done | tr TU tu
}
# filter PROGRAM ARG…: what it prints; nothing where it is not installed, or the kernel has no support for it.
filter() {
    command -v "$1" >/dev/null || return 0
    found=$(timeout -k 2 20 "$@" 2>&1) || case $found in
        *"not supported"* | *"does not exist"* | *"generation id: Invalid argument"*) return 0 ;;
        *) printf '%s: %s\n' "$1" "${found:-no answer}" >&2 && return 1 ;;
    esac
    printf '%s\n' "$found"
}
rules() { filter iptables-save && filter ip6tables-save; }
# Only Kubernetes' own chains, and the rules that lead to them: the rest is somebody else's firewall. By deletions alone,
# since others, as fail2ban or Docker, may add rules between the two commands. Of the CNI plugins' chains those of cbr0's
# pods, and those that all networks share where no other's is led to or from: podman has its own beside them. Source:
# containernetworking/plugins, portmap.go and ipmasq.
deletions() { # of what iptables-save printed, for iptables-restore --noflush
    awk '
        function is_own(chain) { return chain ~ /^(KUBE|FLANNEL)-/ || chain in pods || !others && chain ~ /^CNI-HOSTPORT-/ }
        /^[*]/ { table = $0; chains = rules = others = 0; split("", pods) }
        /^:/ { chain[++chains] = substr($1, 2) }
        /^-A / {
            rule[++rules] = $0; from[rules] = $2; to[rules] = $(NF - 1) ~ /^-[jg]$/ ? $NF : ""
            if (index($0, "name: \\\"cbr0\\\"") && to[rules] ~ /^CNI-/ && to[rules] !~ /^CNI-HOSTPORT-/) pods[$NF]
        }
        /^COMMIT/ {
            leads = flushed = deleted = ""
            for (n = 1; n <= rules; n++)
                if (from[n] ~ /^CNI-(HOSTPORT-[DS]NAT$|[DS]N-)/ && !(from[n] in pods) && !(to[n] in pods)) others = 1
            for (n = 1; n <= chains; n++) if (is_own(chain[n])) {
                flushed = flushed "-F " chain[n] "\n"
                deleted = deleted "-X " chain[n] "\n"
            }
            for (n = 1; n <= rules; n++)
                if (is_own(to[n]) && !is_own(from[n])) leads = leads "-D" substr(rule[n], 3) "\n"
            if (deleted) printf "%s\n%s%s%sCOMMIT\n", table, leads, flushed, deleted
        }'
}
tables() { found=$(filter nft list tables) && printf '%s\n' "$found" | sed -n 's/^table \(ip6\{0,1\} kube-proxy\)$/\1/p'; }
