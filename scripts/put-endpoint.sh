#!/bin/sh
# Writes what kubefab-endpoint.service reads: the cluster's CA, and haproxy's configuration, once haproxy accepts it.
# standard input: the CA in base64 on a line of its own, then the configuration, or nothing
set -eu
folder=/etc/kubefab
take() { # take NAME: NAME.new takes its place
    sync "$folder/$1.new"
    mv "$folder/$1.new" "$folder/$1"
    sync "$folder"
}
mkdir -p "$folder"
read -r authority
printf '%s' "$authority" | base64 -d >"$folder/ca.crt.new"
take ca.crt
cat >"$folder/endpoint.cfg.new"
if [ ! -s "$folder/endpoint.cfg.new" ]; then
    rm "$folder/endpoint.cfg.new"
    exit
fi
haproxy -c -q -f "$folder/endpoint.cfg.new"
take endpoint.cfg
