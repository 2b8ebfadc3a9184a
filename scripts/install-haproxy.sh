#!/bin/sh
# Installs haproxy, for a unit of kubefab's own. Its package starts haproxy.service: where there was none before, that is
# stopped again. A mark tells so as long as it may run because of us.
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
