# shellcheck shell=sh
# named COMMAND…: what this `ss -p` prints. ss reads which process has which socket first, and the sockets after that: one
# that came to be in between stands there without a process, as does one whose process ends just now. Asked again it has
# one, or is gone. The kernel's own sockets (an NFS server's) never have one.
named() {
    for _ in 1 2 3; do
        sockets=$("$@" && echo whole)
        case $sockets in *whole) ;; *) break ;; esac
        sockets=${sockets%whole}
        printf '%s' "$sockets" | grep -qv '("' || break
    done
    printf '%s' "$sockets"
}
