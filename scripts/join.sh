#!/bin/sh
# Joins the cluster. usage: join.sh DISCOVERY CHECK [NAME:SETTING…]    standard input: the discovery kubeconfig, in base64
# on a line of its own, then kubeadm's document, which names DISCOVERY; CHECK: kubeadm's command that reads it and
# changes nothing; SETTING: what of NAME hosts.yml has given (shared/marks.sh).
# The marker is there from before kubeadm changes anything until right after its success, so that one left behind
# means that the join itself did not finish. What kubeadm's preflight finds was there before us.
set -eu
. "${0%/*}/shared/unproxied.sh"
. "${0%/*}/shared/proxied.sh"
. "${0%/*}/shared/join.sh"
. "${0%/*}/shared/marks.sh"
umask 077
discovery=$1 document=$1.yaml
trap 'rm -f "$discovery" "$document"' EXIT
read -r line
printf '%s' "$line" | base64 -d >"$discovery"
cat >"$document"
check_join "$2"
shift 2
umask 022
kubeadm join phase preflight --config "$document"
begin join
forget_marks
kubeadm join --config "$document" --skip-phases preflight
mark_all "$@"
rm /var/lib/kubefab/join
