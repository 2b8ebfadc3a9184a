#!/bin/sh
# Starts a service anew, and at every boot. usage: restart-service.sh NAME [FILE…]    FILE: what it reads as it starts
set -eu
. "${0%/*}/shared/touched.sh"
unit=$1
shift
systemctl daemon-reload
systemctl enable "$unit"
touch_future "$@"
systemctl restart "$unit"
