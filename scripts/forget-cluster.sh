#!/bin/sh
# Takes away what names the cluster. usage: forget-cluster.sh NAME    NAME: the control plane's
set -eu
others=$(grep -vE "[[:space:]]$1([[:space:]]|\$)" /etc/hosts || true)
printf '%s\n' "$others" >/etc/hosts
