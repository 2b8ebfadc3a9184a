#!/bin/sh
# Creates the control plane, without its DNS (see apply-dns.sh). usage: init.sh CHECK MASTERS [NAME:SETTING…]    standard
# input: kubeadm's documents; CHECK: kubeadm's command that reads them and changes nothing; MASTERS: how many there are
# to be; SETTING: what of the static pod NAME hosts.yml has given (shared/marks.sh).
# The marker is there from before kubeadm changes anything until right after its success, so that one left
# behind means that init itself did not finish. What kubeadm's preflight finds was there before us; so were the keys and
# certificates that the marker names, which kubeadm takes for its own: whoever put them there may have no others.
set -eu
. "${0%/*}/shared/unproxied.sh"
. "${0%/*}/shared/proxied.sh"
. "${0%/*}/shared/begin.sh"
. "${0%/*}/shared/made.sh"
. "${0%/*}/shared/settle.sh"
umask 077
documents=$(mktemp /run/kubefab/init.XXXXXX)
trap 'rm -f "$documents"' EXIT
cat >"$documents"
check_documents "$1" "$documents"
masters=$2
shift 2
umask 022
kubeadm init phase preflight --config "$documents"
given=$(entries | grep -xF -e "$(echo /etc/kubernetes/pki/ca.crt && keys)" || true)
# shellcheck disable=SC2086  # their names
begin init $given
forget_marks
make() { kubeadm init --config "$documents" --skip-phases preflight,addon/coredns --skip-token-print; }
if [ "$masters" = 1 ]; then make; else settling make; fi
mark_all "$@"
rm /var/lib/kubefab/init
