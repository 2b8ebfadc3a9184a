# shellcheck shell=sh
# named COMMAND…: what this `ss -p` prints. ss reads the processes first, and the sockets after that: a socket that was
# opened in between has no process, nor has one whose process just ends. Asked again, it has one, or is gone. The
# kernel's own sockets (an NFS server's) never have one.
named() {
    for _ in 1 2 3; do
        sockets=$("$@" && echo whole)
        case $sockets in *whole) ;; *) break ;; esac
        sockets=${sockets%whole}
        printf '%s' "$sockets" | grep -qv '("' || break
    done
    printf '%s' "$sockets"
}
