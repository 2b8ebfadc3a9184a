# shellcheck shell=sh
# By which way this host's programs ask an API server, and what its own haproxy sees of the masters.
. "${0%/*}/shared/named.sh"
. "${0%/*}/shared/contained.sh"
! has ss || named heard ss -Htnp state established 'dport = :6443' | while read -r _ _ _ peer process; do
    case $process in *'"kubelet"'*) fact "kubelet_at ${peer%:*}" ;; esac
done
# Pods in the host's network have a copy of its /etc/hosts, of when their container was started.
if has pgrep; then
    seen=none
    for proxy in $(contained kube-proxy); do
        hosts=$(cat "/proc/$proxy/root/etc/hosts" 2>/dev/null) || continue
        seen=runs
        printf '%s\n' "$hosts" | while read -r address names; do
            case $address in \#*) continue ;; esac
            for name in $names; do
                case $name in *.kubefab.internal) fact "proxy_has $name $address" ;; esac
            done
        done
    done
    fact "proxy $seen"
fi
# Who has joined asks it all the time. Whoever is refused has been answered, by a server that the CA vouches for. Without
# a name kubectl would want one typed; an API server passes over it, and takes the question for an anonymous one.
if [ -n "$BALANCER" ] && [ -e /etc/kubefab/ca.crt ] && [ ! -e /etc/kubernetes/kubelet.conf ]; then
    said=$(ask_api --kubeconfig /dev/null --server "https://$BALANCER" --certificate-authority /etc/kubefab/ca.crt \
        --username nobody --password nothing get --raw /readyz 2>&1) || case $said in *Unauthorized* | *Forbidden*) said=ok ;; esac
    fact "balancer $(last_of "${said:-$(no_answer)}")"
fi
[ ! -e /var/lib/kubefab/haproxy ] || fact "haproxy_begun yes"
# shellcheck disable=SC2016  # perl's own words
# By haproxy's doc/management.txt, "show stat": what a server is, and how its last check ended.
[ ! -S /run/kubefab-endpoint.sock ] || timeout -k 2 5 perl -MIO::Socket::UNIX -e '
    my $socket = IO::Socket::UNIX->new("/run/kubefab-endpoint.sock") or exit;
    print $socket "show stat -1 4 -1\n";
    print <$socket>' | awk -F, '
    /^# / { for (i = 1; i <= NF; i++) at[$i] = i; next }
    NF > 1 {
        check = $at["check_status"]
        sub(/^[*] /, "", check) # one goes on
        print "sees", $at["svname"], $at["status"] "; " check, $at["check_code"]
    }' | while read -r line; do fact "$line"; done
