# shellcheck shell=sh
# render FOLDER DOCUMENT PHASE: writes into FOLDER the manifests that kubeadm would make for static pods. Those in use
# stay untouched: only for kubeadm is FOLDER mounted over their folder.
render() {
    # shellcheck disable=SC2016,SC2086  # for the shell within; its words
    unshare --mount sh -ec 'mount --bind "$1" /etc/kubernetes/manifests && exec kubeadm init phase $3 --config "$2"' sh "$@"
}
