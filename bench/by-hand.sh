#!/usr/bin/env bash
# The same cluster by hand over ssh, as a careful person makes it who knows the way, on all hosts at once.
# usage: by-hand.sh FOLDER 'MASTER…' 'WORKER…'    FOLDER: what that person has written beforehand (bench/scene.py)
# The order is that of the documentation: container runtime, kubeadm, init, network, join. With several masters each of
# them asks its own API server in the end, and each worker a haproxy of its own.
set -euo pipefail
folder=$1
read -ra masters <<<"$2"
read -ra workers <<<"$3"
master=${masters[0]}

say() { printf '\n== %s\n' "$1"; } # on a line of its own: apt writes half ones meanwhile
on() { ssh -F "$folder/ssh_config" "$@"; }
do_on() { on -n "$1" "$(cat "$folder/values.sh" -)"; } # do_on HOST <PROGRAM
put() { tar -C "$folder/$2" -c etc | on "$1" tar -C / --no-same-owner --no-overwrite-dir -x; }

prepare() {
    do_on "$1" <<'END'
swapoff -a
sed -i -E 's/^[^#[:space:]]+[[:space:]]+[^[:space:]]+[[:space:]]+swap[[:space:]]/# &/' /etc/fstab
grep -qw overlay /proc/filesystems || modprobe overlay
[ -d /proc/sys/net/bridge ] || modprobe br_netfilter
echo "$address $endpoint" >>/etc/hosts
apt-get -q update
apt-get -qy install --no-install-recommends containerd
END
    put "$1" system
    do_on "$1" <<'END'
sysctl -q -p /etc/sysctl.d/99-zz-kubernetes.conf
systemctl restart containerd
curl -fsSL "${repository}Release.key" -o Release.key
gpg --show-keys --with-colons Release.key | grep -q "^fpr:::::::::$key:"
mkdir -p /etc/apt/keyrings
gpg --dearmor --yes -o "$keyring" Release.key
END
    put "$1" kubernetes
    do_on "$1" <<'END'
apt-get -q update
apt-get -qy install --no-install-recommends \
    "kubelet=$version-*" "kubeadm=$version-*" "kubectl=$version-*" kubernetes-cni bash-completion
apt-mark hold kubelet kubeadm kubectl kubernetes-cni
systemctl enable kubelet
END
}

prepare_worker() {
    prepare "$1"
    [ ! -d "$folder/haproxy" ] || do_on "$1" <<<"apt-get -qy install --no-install-recommends haproxy"
}

lead() { do_on "$1" <<<"sed -i \"s/.* \$endpoint\$/$2 \$endpoint/\" /etc/hosts"; } # lead HOST ADDRESS

join() {
    sed "s/CERTIFICATE_KEY/$certificate_key/; s/TOKEN/$token/; s/CA_HASH/$ca_hash/" "$folder/join-$1.yaml" | on "$1" "
        set -eu
        umask 077
        cat >join.yaml
        kubeadm config validate --config join.yaml
        kubeadm join --config join.yaml
        rm join.yaml"
}

join_masters() { # one after another, as etcd wants it
    for one in "${masters[@]:1}"; do
        join "$one"
        lead "$one" "$(on -G "$one" | sed -n 's/^hostname //p')"
    done
}

join_worker() {
    if [ -d "$folder/haproxy" ]; then
        put "$1" haproxy
        on -n "$master" cat /etc/kubernetes/pki/ca.crt | on "$1" "mkdir -p /etc/kubefab && cat >/etc/kubefab/ca.crt"
        on -n "$1" systemctl restart haproxy
        lead "$1" 127.0.0.1
    fi
    join "$1"
}

say "preparing"
pids=()
for one in "${masters[@]}"; do
    prepare "$one" &
    pids+=($!)
done
for worker in "${workers[@]}"; do
    prepare_worker "$worker" &
    pids+=($!)
done
wait "${pids[0]}"

say "kubeadm init"
on "$master" "
    set -eu
    cat >init.yaml
    kubeadm config validate --config init.yaml
    kubeadm init --config init.yaml --skip-token-print" <"$folder/init.yaml"

say "flannel"
do_on "$master" <<'END'
mkdir -p -m 700 .kube
cp /etc/kubernetes/admin.conf .kube/config
kubectl get --raw /healthz
curl -fsSL "$flannel" -o kube-flannel.yml
echo "$flannel_sha256  kube-flannel.yml" | sha256sum --check --quiet
sed -i "s#\"Network\": \".*\"#\"Network\": \"$pod_subnet\"#" kube-flannel.yml
kubectl apply --server-side -f kube-flannel.yml
END
for pid in "${pids[@]:1}"; do wait "$pid"; done

say "kubeadm join"
read -r _ _ _ _ token _ ca_hash <<<"$(on -n "$master" kubeadm token create --ttl 15m --print-join-command)"
certificate_key=
[ ${#masters[@]} = 1 ] ||
    certificate_key=$(on -n "$master" kubeadm init phase upload-certs --upload-certs --config init.yaml | tail -n 1)
join_masters &
pids=($!)
for worker in "${workers[@]}"; do
    join_worker "$worker" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
on -n "$master" kubeadm token delete "${token%%.*}"

say "waiting"
# It has a copy of what /etc/hosts said when it was started.
[ ${#masters[@]} = 1 ] || do_on "$master" <<<"kubectl -n kube-system rollout restart ds/kube-proxy"
do_on "$master" <<'END'
kubectl wait --for=condition=Ready nodes --all --timeout=300s
for workload in ds/kube-proxy deploy/coredns; do kubectl -n kube-system rollout status "$workload" --timeout=300s; done
kubectl -n kube-flannel rollout status ds/kube-flannel-ds --timeout=300s
END
