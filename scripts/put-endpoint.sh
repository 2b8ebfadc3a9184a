#!/bin/sh
# Writes what kubefab-endpoint.service reads: the cluster's CA, and haproxy's configuration, once haproxy accepts it. One
# that somebody has changed is kept beside it.
# standard input: the CA in base64 on a line of its own, then the configuration, or nothing
set -eu
. "${0%/*}/shared/replace.sh"
folder=/etc/kubefab
mkdir -p "$folder"
read -r authority
printf '%s' "$authority" | base64 -d >"$folder/ca.crt.kubefab"
sync "$folder/ca.crt.kubefab"
mv "$folder/ca.crt.kubefab" "$folder/ca.crt"
sync "$folder"
cat >"$folder/endpoint.cfg.kubefab"
if [ ! -s "$folder/endpoint.cfg.kubefab" ]; then
    rm "$folder/endpoint.cfg.kubefab"
    exit
fi
haproxy -c -q -f "$folder/endpoint.cfg.kubefab"
replace "$folder/endpoint.cfg"
