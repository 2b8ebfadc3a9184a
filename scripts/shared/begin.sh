# shellcheck shell=sh
# What comes before anything is made by kubeadm.

# check_documents CHECK FILE: stops where kubeadm does not read it. CHECK: its command that reads it and changes nothing.
# Older ones only warn of what they do not know.
check_documents() {
    # shellcheck disable=SC2086  # its words
    said=$(kubeadm $1 --config "$2" 2>&1) || { echo "$said"; exit 1; }
    case $said in *"unknown field"*) echo "$said"; exit 1 ;; esac
}
begin() { # begin MARKER: since when it is at work
    mkdir -p /var/lib/kubefab
    date +%s >"/var/lib/kubefab/$1"
    sync "/var/lib/kubefab/$1" # after a power cut it would be there, and empty
}
