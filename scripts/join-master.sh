#!/bin/sh
# Joins the cluster as one more master. usage: join-master.sh DISCOVERY CHECK MORE [NAME:SETTING…]    standard input, a
# line each: the discovery kubeconfig, and kubeadm's document, which names DISCOVERY, both in base64; then the keys that
# all masters share, as NAME CONTENT, below /etc/kubernetes and in base64. CHECK: kubeadm's command that reads the
# document and changes nothing; MORE: how many masters have yet to join after it; SETTING: what of the static pod NAME
# hosts.yml has given (shared/marks.sh).
# The marker is there from before the keys until right after kubeadm's success, so that one left behind means that all
# that a control plane is made of was made by this join. Where some of it was there before, nothing is begun.
set -eu
. "${0%/*}/shared/unproxied.sh"
. "${0%/*}/shared/proxied.sh"
. "${0%/*}/shared/join.sh"
. "${0%/*}/shared/made.sh"
. "${0%/*}/shared/settle.sh"
umask 077
discovery=$1 document=$1.yaml
trap 'rm -f "$discovery" "$document"' EXIT
read -r line
printf '%s' "$line" | base64 -d >"$discovery"
read -r line
printf '%s' "$line" | base64 -d >"$document"
check_join "$2"
more=$3
shift 3
there=$(entries | grep -xF -e "$(names && keys)" | grep -v '^/var/lib/kubelet/' || true)
if [ -n "$there" ]; then
    printf 'nothing was changed, since this is there already, and kubeadm would want its own:\n%s\n' "$there" >&2
    exit 1
fi
begin join-master
forget_marks
mkdir -p /etc/kubernetes/pki/etcd
chmod 755 /etc/kubernetes/pki /etc/kubernetes/pki/etcd
while read -r name content; do
    printf '%s' "$content" | base64 -d >"/etc/kubernetes/$name"
done
umask 022
# What kubeadm's preflight finds was there before us: then there is nothing to take back but the keys.
if ! kubeadm join phase preflight --config "$document"; then
    { echo /etc/kubernetes/pki/ca.crt && keys; } | while read -r path; do rm -f "$path"; done
    rm /var/lib/kubefab/join-master
    exit 1
fi
make() { kubeadm join --config "$document" --skip-phases preflight; }
# With more of them to come, the members that this one is told of will be fewer than all: see masters.forgetful.
if [ "$more" = 0 ]; then settling make; else make; fi
mark_all "$@"
rm /var/lib/kubefab/join-master
# The discovery stays, which holds no secret, until the cluster has lost the token too: right after a join it may have no
# ear, while its members of etcd find each other.
trap 'rm -f "$document"' EXIT
