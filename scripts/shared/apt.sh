# shellcheck shell=sh
# apt asks nobody anything, and where a bundle is the one source, no other source either.
export DEBIAN_FRONTEND=noninteractive
if grep -qs /var/lib/kubefab-bundle /etc/apt/sources.list.d/kubernetes.list; then
    export APT_CONFIG=/var/lib/kubefab-bundle/apt.conf
fi
# Its own settings know servers by their names alone; of domains it hears by its environment.
domains=$(sed -n 's/^NO_PROXY="\(.*\)"$/\1/p' /etc/default/kubefab-proxy 2>/dev/null | tr , '\n' | grep '^\.' | tr '\n' ,) || :
[ -z "$domains" ] || export no_proxy="${no_proxy:+$no_proxy,}${domains%,}"
