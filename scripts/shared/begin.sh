# shellcheck shell=sh
# What comes before anything is made by kubeadm.

# check_documents CHECK FILE: stops where kubeadm does not accept FILE. CHECK: its command that only reads it.
# Older kubeadms only warn of fields that they do not know.
check_documents() {
    # shellcheck disable=SC2086  # its words
    said=$(kubeadm $1 --config "$2" 2>&1) || { echo "$said"; exit 1; }
    case $said in *"unknown field"*) echo "$said"; exit 1 ;; esac
}
begin() { # begin MARKER [LINE…]: since when it is at work, and what else it tells
    marker=/var/lib/kubefab/$1
    shift
    mkdir -p /var/lib/kubefab
    printf '%s\n' "$(date +%s)" "$@" >"$marker"
    sync "$marker" # after a power cut it would be there, and empty
}
