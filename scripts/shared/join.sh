# shellcheck shell=sh
# shellcheck disable=SC2154  # who joins sets $discovery and $document, the files with both
# What a worker's join and a master's have in common.
. "${0%/*}/shared/begin.sh"

# check_join CHECK: stops where the control plane cannot be reached, or kubeadm does not read the document, before
# anything is made. Without that kubeadm would try for five minutes, and say no word.
check_join() {
    server=$(sed -n 's|^ *server: https://||p' "$discovery" | tr -d '[]')
    # shellcheck disable=SC2016  # bash's own words, and names for what follows them
    if [ -n "$server" ] && ! timeout 10 bash -c ': <"/dev/tcp/$0/$1"' "${server%:*}" "${server##*:}" 2>/dev/null; then
        echo "https://$server cannot be reached from here: does a firewall stand between, here or on the master?"
        exit 1
    fi
    check_documents "$1" "$document"
}
