#!/bin/sh
# Prints what this master's own API server says of its health to the cluster's admin: "ok", or the last line of why not.
# usage: ask-readyz.sh SECONDS    for so long it is waited for
set -eu
. "${0%/*}/shared/admin.sh"
. "${0%/*}/shared/static.sh"
# shellcheck disable=SC2034  # as_admin's
within="timeout -k 2 $1"
said=$(as_admin --server "https://$(its_own)" get --raw /readyz 2>&1) || said=${said:-no answer within $1 s}
printf '%s\n' "$said" | tail -n 1
