#!/bin/sh
# Lets a service that runs read its files anew. usage: reload-service.sh NAME FILE…
set -eu
. "${0%/*}/shared/touched.sh"
unit=$1
shift
touch_future "$@"
systemctl reload "$unit"
