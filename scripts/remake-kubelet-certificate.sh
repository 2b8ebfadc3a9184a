#!/bin/sh
# Has this host's kubelet make the certificate anew that it serves: it does so at its start, where there is none.
# The key goes first: by a certificate alone this is seen to be unfinished, and by a key alone no kubelet would start.
# It is stopped first: one that was cut off from then on is seen not to run, and makes one once it is started.
set -eu
systemctl stop kubelet
rm -f /var/lib/kubelet/pki/kubelet.key
sync /var/lib/kubelet/pki
rm -f /var/lib/kubelet/pki/kubelet.crt
systemctl start kubelet
