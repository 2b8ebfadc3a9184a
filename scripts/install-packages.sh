#!/bin/sh
# Installs Debian packages: see shared/install.sh for how they are named.
set -eu
. "${0%/*}/shared/install.sh"
install_packages "$@"
