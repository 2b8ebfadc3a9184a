#!/bin/sh
# Joins the cluster. usage: join.sh DISCOVERY CHECK    standard input: the discovery kubeconfig, in base64 on a
# line of its own, then kubeadm's document, which names DISCOVERY; CHECK: kubeadm's command that reads it and
# changes nothing. Older ones only warn of what they do not know.
# The marker is there from before kubeadm changes anything until right after its success, so that one left behind
# means that the join itself did not finish. What kubeadm's preflight finds was there before us.
set -eu
. "${0%/*}/shared/unproxied.sh"
. "${0%/*}/shared/proxied.sh"
umask 077
document=$1.yaml
trap 'rm -f "$1" "$document"' EXIT
read -r discovery
printf '%s' "$discovery" | base64 -d >"$1"
cat >"$document"
# kubeadm would try for five minutes, and say no word.
server=$(sed -n 's|^ *server: https://||p' "$1" | tr -d '[]')
# shellcheck disable=SC2016  # bash's own words, and names for what follows them
if [ -n "$server" ] && ! timeout 10 bash -c ': <"/dev/tcp/$0/$1"' "${server%:*}" "${server##*:}" 2>/dev/null; then
    echo "https://$server cannot be reached from here: does a firewall stand between, here or on the master?"
    exit 1
fi
# shellcheck disable=SC2086  # its words
said=$(kubeadm $2 --config "$document" 2>&1) || { echo "$said"; exit 1; }
case $said in *"unknown field"*) echo "$said"; exit 1 ;; esac
umask 022
kubeadm join phase preflight --config "$document"
mkdir -p /var/lib/kubefab
date +%s >/var/lib/kubefab/join
sync /var/lib/kubefab/join # after a power cut it would be there, and empty
kubeadm join --config "$document" --skip-phases preflight
rm /var/lib/kubefab/join
