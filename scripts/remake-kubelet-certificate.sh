#!/bin/sh
# Has this host's kubelet remake the certificate that it serves, as it does at its start where there is none.
# The key goes first: a certificate alone shows that this is unfinished, while with a key alone no kubelet would start.
# The kubelet is stopped first: if this is killed, the next run sees that it does not run, and starts it.
set -eu
systemctl stop kubelet
rm -f /var/lib/kubelet/pki/kubelet.key
sync /var/lib/kubelet/pki
rm -f /var/lib/kubelet/pki/kubelet.crt
systemctl start kubelet
