# shellcheck shell=sh
# render FOLDER DOCUMENT PHASE: what kubeadm would write as static pods' manifests, into FOLDER. Its own place for them is as
# before: FOLDER takes that place for this one program alone.
render() {
    # shellcheck disable=SC2016,SC2086  # for the shell within; its words
    unshare --mount sh -ec 'mount --bind "$1" /etc/kubernetes/manifests && exec kubeadm init phase $3 --config "$2"' sh "$@"
}
