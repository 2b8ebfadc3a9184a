#!/bin/sh
# Takes kubefab's own haproxy from this host, once nothing goes by way of it. The package stays.
set -eu
. "${0%/*}/shared/stopped.sh"
. "${0%/*}/shared/endpoint.sh"
remove_endpoint
