# shellcheck shell=sh
# What else uses this host's network: addresses, routes, links and ports that Kubernetes and pods' traffic would meet.
. "${0%/*}/shared/named.sh"
! has ip || heard ip -o -4 addr show scope global | while read -r _ interface _ address _; do
    fact "address_on ${address%/*} $interface"
done
# One by several ways has them on lines of their own without -o; the last one is told.
! has ip || heard ip -o -4 route show table main | while read -r network words; do
    case $network in [0-9]*) ;; *) continue ;; esac # default, and what leads nowhere
    case " $words " in *" dev "*) words="${words##*dev }" && fact "route $network ${words%% *}" ;; esac
done
! has ip || heard ip -d -o link show type vxlan | while read -r _ name words; do
    case $words in *" dstport "*) words=${words##* dstport } && fact "vxlan ${name%%[:@]*} ${words%% *}" ;; esac
done
! has ss || heard ss -Hlunp | while read -r _ _ _ local _ process; do
    process=${process#*\"}
    [ -z "$process" ] || fact "udp ${local##*:} ${process%%\"*}"
done
! has ss || named heard ss -Hltnp | while read -r _ _ _ local _ process; do
    process=${process#*\"}
    fact "port ${local##*:} ${process%%\"*}"
done

# What systemd-networkd takes over: by its files, the first of which that fits a link is that link's.
! is_stopped systemd-networkd || exit 0
for folder in /etc /run /usr/local/lib /usr/lib; do
    for file in "$folder"/systemd/network/*.network; do
        [ ! -e "$file" ] || printf '%s %s\n' "${file##*/}" "$file"
    done
done | sort -s -u -k 1,1 | while read -r _ file; do
    [ -s "$file" ] || continue # masked
    fact "networkd $file"
    section=
    while line= && read -r line || [ -n "$line" ]; do
        case $line in \[*) section=$line ;; esac
        case $section$line in '[Match]'[A-Z]*=* | '[Link]Unmanaged'*=*) fact "networkd $file $line" ;; esac
    done <"$file"
done
