#!/bin/sh
# Installs haproxy, for a unit of kubefab's own. The package starts haproxy.service; where it was not installed before,
# that is stopped again. A mark exists while haproxy.service may run only because of us.
set -eu
. "${0%/*}/shared/install.sh"
. "${0%/*}/shared/endpoint.sh"
case $(dpkg-query -W -f '${db:Status-Abbrev}' haproxy 2>/dev/null) in
    ?i*) ;;
    *)
        mkdir -p /var/lib/kubefab
        : >/var/lib/kubefab/haproxy
        sync /var/lib/kubefab/haproxy
        ;;
esac
install_packages haproxy
stop_packages_haproxy
