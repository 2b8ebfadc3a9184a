# shellcheck shell=sh
# Until when the certificates of this host are good, and which of them are really served. No key.
. "${0%/*}/shared/bare.sh"
. "${0%/*}/shared/certificate.sh"
. "${0%/*}/shared/static.sh"
[ -d /etc/kubernetes ] || exit 0
kubelets=/var/lib/kubelet/pki
# told_of NAME FLAG [PATH]: whether a process of that name has this flag, with another value than PATH. By a person's hand the
# value may be a word of its own.
told_of() {
    for process in $(pgrep -x "$1"); do
        tr '\0' '\n' <"/proc/$process/cmdline" 2>/dev/null | sed -n "/^$2\$/ { n; p; }; s/^$2=//p" |
            grep -qvxF -e "${3-}" && return 0
    done
    return 1
}
made=$kubelets/kubelet.crt
# A kubelet that was given another does not serve what it once made; nor does an API server kubeadm's.
if grep -qs "^tlsCertFile: *[\"']\{0,1\}/" /var/lib/kubelet/config.yaml || told_of kubelet --tls-cert-file; then
    made=
    fact "otherwise 10250"
fi
! told_of kube-apiserver --tls-cert-file /etc/kubernetes/pki/apiserver.crt || fact "otherwise 6443"
for file in /etc/kubernetes/pki/*.crt /etc/kubernetes/pki/etcd/*.crt \
    "$kubelets/kubelet-client-current.pem" "$kubelets/kubelet-server-current.pem" $made; do
    [ -e "$file" ] || continue
    certificate "$file"
    fact "written $file $(stat -Lc %Y "$file")"
done
[ ! -e /var/lib/kubefab/renewal ] || fact "renewal_begun yes"
[ ! -e /etc/kubernetes/pki-remade ] || fact "remake_begun yes"
of_user() { # of_user WORDS FILE: the certificate in a kubeconfig
    while name= && read -r name value || [ -n "$name" ]; do
        case $name in client-certificate-data:) fact "$1 $value" ;; esac
    done <"$2"
}
for file in /etc/kubernetes/*.conf; do
    [ -e "$file" ] || continue
    fact "written $file $(stat -c %Y "$file")"
    of_user "client $file" "$file"
done
# ~/.kube/config of whoever came in over SSH: what scripts/renew-kubeconfig.sh finds there again, by the same $bare
login=$(getent passwd "${SUDO_USER:-root}" 2>/dev/null | cut -d: -f6)/.kube/config
# shellcheck disable=SC2154  # shared/bare.sh sets $bare
# A certificate that is written in any other way (JSON, a line between it and its key) is login_apart: it does not follow.
[ ! -e "$login" ] || awk "$bare"'
    held != "" { print ($1 == "client-key-data:" && bare($2) != "" ? "login" : "login_apart"), held; held = "" }
    $1 == "client-certificate-data:" && bare($2) != "" && $2 != "null" { held = bare($2); next }
    !/^[ \t]*#/ {
        while (match($0, /client-certificate-data["\047]?[ \t]*:[ \t]*["\047]?/)) {
            body = $0 = substr($0, RSTART + RLENGTH)
            sub(/[^A-Za-z0-9+\/=].*/, "", body)
            if (body != "null" && !/^["\047]/) print "login_apart", body # else there is none
        }
    }
    END { if (held != "") print "login_apart", held }' "$login" || fact login_apart
now=$(date +%s)
for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    processes=$(static_pod "$name" 2>&1) || untold "$processes"
    # Where none runs, a worker say, haproxy passes on what some master shows.
    [ "$name" != kube-apiserver ] || api=${processes:+6443}
    for process in $processes; do
        if age=$(ps -o etimes= -p "$process"); then
            fact "process $name $((now - age))"
        elif [ -e "/proc/$process" ]; then
            untold "ps does not say since when $name runs"
        fi
    done
done
if ! has openssl; then
    fact "unserved openssl is not installed there"
    exit 0
fi
served() { # served PORT ADDRESS: what is shown to whoever knocks, with or without a certificate of theirs
    body=$(timeout -k 1 "$(at_most 10)" openssl s_client -connect "$2:$1" </dev/null 2>/dev/null |
        openssl x509 -outform DER 2>/dev/null | base64 -w0)
    fact "served $1 ${body:-none}"
}
# All at once: one that hangs is to cost no more than that.
heard ss -Hltn | {
    while read -r _ _ _ place _; do
        case ${place##*:} in "$api" | 2379 | 2380 | 10250 | 10257 | 10259) ;; *) continue ;; esac
        case ${place%:*} in '*' | '0.0.0.0' | '[::]') address=127.0.0.1 ;; *) address=${place%:*} ;; esac
        served "${place##*:}" "$address" &
    done
    wait
}
