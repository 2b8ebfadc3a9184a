#!/bin/sh
# Removes kubefab's own haproxy from this host, once nothing goes through it. The package stays.
set -eu
. "${0%/*}/shared/stopped.sh"
. "${0%/*}/shared/endpoint.sh"
remove_endpoint
