# shellcheck shell=sh
# shellcheck disable=SC2154  # the caller sets $discovery and $document, the files with both
# What a worker's join and a master's have in common.
. "${0%/*}/shared/begin.sh"

# check_anonymous SERVER: stops where it answers 401 to the request that kubeadm makes without credentials, and would
# repeat for five minutes. With 403 kubeadm goes on at once: kubernetes, cmd/kubeadm/app/discovery/file/file.go.
check_anonymous() {
    path=/api/v1/namespaces/kube-public/configmaps/cluster-info
    said=$(printf 'GET %s HTTP/1.0\r\n\r\n' "$path" |
        timeout -k 2 10 openssl s_client -quiet -connect "$1" 2>/dev/null | head -n 1)
    case $said in
        HTTP/*" 401"*)
            echo "https://$1 answers nobody without credentials (anonymous-auth), and kubeadm asks it so for $path:" \
                "let it answer that on all masters, from Kubernetes 1.32 on by authentication-config; before, with" \
                "anonymous-auth=true while hosts join"
            exit 1
            ;;
    esac
}

# check_join CHECK: stops, before anything is made, where the control plane cannot be reached or kubeadm does not accept
# the document. Otherwise kubeadm would try for five minutes, and say nothing.
check_join() {
    server=$(sed -n 's|^ *server: https://||p' "$discovery" | tr -d '[]')
    # shellcheck disable=SC2016  # bash's own words, and names for what follows them
    if [ -n "$server" ] && ! timeout 10 bash -c ': <"/dev/tcp/$0/$1"' "${server%:*}" "${server##*:}" 2>/dev/null; then
        echo "https://$server cannot be reached from here: does a firewall stand between, here or on the master?"
        exit 1
    fi
    [ -z "$server" ] || check_anonymous "$server"
    check_documents "$1" "$document"
}
