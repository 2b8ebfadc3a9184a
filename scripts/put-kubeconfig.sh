#!/bin/sh
# Gives whoever came in over SSH the admin's kubeconfig. One for another cluster is kept beside it.
# usage: put-kubeconfig.sh [former]    former: what is there was seen to be admin.conf as it was before it was renewed, of
# which nobody wants a copy
set -eu
. "${0%/*}/shared/former.sh"
user=${SUDO_USER:-root}
entry=$(getent passwd "$user")
home=$(echo "$entry" | cut -d: -f6)
umask 077
mkdir -p "$home/.kube"
if [ -e "$home/.kube/config" ] && ! { [ "${1:-}" = former ] && is_former "$home/.kube/config"; }; then
    mv "$home/.kube/config" "$home/.kube/config.before-kubefab-$(date +%s)"
fi
cp /etc/kubernetes/admin.conf "$home/.kube/config.new"
sync "$home/.kube/config.new"
mv "$home/.kube/config.new" "$home/.kube/config"
sync "$home/.kube"
chown "$user:" "$home/.kube" "$home/.kube/config"
