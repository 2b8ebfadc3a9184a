# shellcheck shell=sh
# apt asks no questions, and where a bundle is the only source, it uses no other.
export DEBIAN_FRONTEND=noninteractive
if grep -qs /var/lib/kubefab-bundle /etc/apt/sources.list.d/kubernetes.list; then
    export APT_CONFIG=/var/lib/kubefab-bundle/apt.conf
fi
# apt's own settings exempt servers from the proxy by whole names only; domains it takes from its environment.
domains=$(sed -n 's/^NO_PROXY="\(.*\)"$/\1/p' /etc/default/kubefab-proxy 2>/dev/null | tr , '\n' | grep '^\.' | tr '\n' ,) || :
[ -z "$domains" ] || export no_proxy="${no_proxy:+$no_proxy,}${domains%,}"
# It fails for any one source that is gone, and what is wanted may be in the others: what follows it decides.
refresh_lists() { apt-get -q -o DPkg::Lock::Timeout=600 update || :; }
