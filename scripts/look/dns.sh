# shellcheck shell=sh
# Whether the cluster's DNS answers from here, by the address that pods are told. A question goes the way of their own: by
# kube-proxy's rules to a pod of CoreDNS, and by flannel where that is on another node. Which pod is left to kube-proxy, so
# that several are asked, at one time.
[ -e /etc/kubernetes/kubelet.conf ] && [ -e /var/lib/kubelet/config.yaml ] || exit 0
at=$(bare "$(heard sed -n -e '/^clusterDNS: *$/{n;s/^ *- *//p;}' -e 's/^clusterDNS: *\[ *\([^],]*\).*/\1/p' \
    /var/lib/kubelet/config.yaml)")
[ -n "$at" ] || exit 0
has bash || untold "bash is not installed"
fact "dns_at $at"
for _ in 1 2 3 4 5 6 7 8; do
    # shellcheck disable=SC2016 # bash's own word, and a file of bash's alone
    timeout 3 bash -c ': <>"/dev/tcp/$0/53"' "$at" 9>&- || fact "dns_silent yes" &
done
wait
