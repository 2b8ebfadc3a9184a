#!/bin/sh
# Has this host's kubelet make the certificate anew that it serves: it does so at its start, where there is none.
set -eu
rm -f /var/lib/kubelet/pki/kubelet.crt /var/lib/kubelet/pki/kubelet.key
systemctl restart kubelet
