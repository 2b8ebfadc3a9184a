# shellcheck shell=sh
# shellcheck disable=SC2154  # who joins sets $discovery and $document, the files with both
# What a worker's join and a master's have in common.

# check_join CHECK: stops where the control plane cannot be reached, or kubeadm does not read the document, before
# anything is made. Without that kubeadm would try for five minutes, and say no word; older ones only warn of what they
# do not know.
check_join() {
    server=$(sed -n 's|^ *server: https://||p' "$discovery" | tr -d '[]')
    # shellcheck disable=SC2016  # bash's own words, and names for what follows them
    if [ -n "$server" ] && ! timeout 10 bash -c ': <"/dev/tcp/$0/$1"' "${server%:*}" "${server##*:}" 2>/dev/null; then
        echo "https://$server cannot be reached from here: does a firewall stand between, here or on the master?"
        exit 1
    fi
    # shellcheck disable=SC2086  # its words
    said=$(kubeadm $1 --config "$document" 2>&1) || { echo "$said"; exit 1; }
    case $said in *"unknown field"*) echo "$said"; exit 1 ;; esac
}
begin_join() { # begin_join MARKER
    mkdir -p /var/lib/kubefab
    date +%s >"/var/lib/kubefab/$1"
    sync "/var/lib/kubefab/$1" # after a power cut it would be there, and empty
}
