# shellcheck shell=sh
# install_packages NAME…: Debian packages: "containerd", "kubelet=1.37.2-*", or "docker-cli?", left out where apt has no
# such package. Refreshes the lists where they are missing or out of date. Nothing that others installed is removed:
# where it conflicts, apt fails and says so.
. "${0%/*}/shared/apt.sh"
install() {
    for name; do
        shift
        case $name in *\?) [ -n "$(apt-cache show "${name%\?}" 2>/dev/null)" ] || continue ;; esac
        set -- "$@" "${name%\?}"
    done
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold \
        install --no-remove --no-install-recommends --allow-change-held-packages "$@" </dev/null
}
# Without any list, as on a new machine, apt would only find out slowly.
have_lists() { set -- /var/lib/apt/lists/*_Packages* && [ -e "$1" ]; }
install_packages() {
    { have_lists && install "$@"; } || {
        refresh_lists
        install "$@"
    }
}
