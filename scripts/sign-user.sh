#!/bin/sh
# Has the cluster sign a request for a user's certificate, which comes by standard input, and prints the certificate.
# usage: sign-user.sh NAME SECONDS    what the request is called meanwhile; how long the certificate is to be good
set -eu
. "${0%/*}/shared/admin.sh"
trap 'as_admin delete certificatesigningrequest "$1" --ignore-not-found >/dev/null' EXIT
trap 'exit 1' HUP INT PIPE TERM
request=$(base64 -w0)
as_admin create -f - >/dev/null <<END
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: $1}
spec:
  signerName: kubernetes.io/kube-apiserver-client
  expirationSeconds: $2
  usages: [client auth]
  request: $request
END
as_admin certificate approve "$1" >/dev/null
for _ in $(seq 30); do # the controller manager signs it; another one may have to take over first
    signed=$(as_admin get certificatesigningrequest "$1" -o 'jsonpath={.status.certificate}')
    if [ -n "$signed" ]; then
        printf %s "$signed" | base64 -d
        exit
    fi
    sleep 0.5
done
echo "nobody has signed the request: does the controller manager run?" >&2
exit 1
