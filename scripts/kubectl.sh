#!/bin/sh
# kubectl as the cluster's admin, on a master. usage: kubectl.sh ARG…
set -eu
. "${0%/*}/shared/admin.sh"
as_admin "$@"
