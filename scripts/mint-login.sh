#!/bin/sh
# Prints a token of an hour for a service account. usage: mint-login.sh NAMESPACE ACCOUNT
# As `kubectl create token` does, which kubectl has since 1.24 and the API server since 1.20.
set -eu
. "${0%/*}/shared/admin.sh"
asked='{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}'
minted=$(printf '%s' "$asked" | as_admin create --raw "/api/v1/namespaces/$1/serviceaccounts/$2/token" -f -)
printf '%s\n' "$minted" | sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' | grep .
