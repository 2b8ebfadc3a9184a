#!/bin/sh
# Prints what this master's own API server tells the cluster's admin of its health: "ok", or the last line of why not.
# usage: ask-readyz.sh SECONDS    how long to wait for its answer
set -eu
. "${0%/*}/shared/admin.sh"
. "${0%/*}/shared/static.sh"
# shellcheck disable=SC2034  # as_admin's
within="timeout -k 2 $1"
said=$(as_admin --server "https://$(its_own)" get --raw /readyz 2>&1) || said=${said:-no answer within $1 s}
printf '%s\n' "$said" | tail -n 1
