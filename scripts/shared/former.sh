# shellcheck shell=sh
# is_former FILE: whether it is admin.conf as that was before its user's certificate was renewed
is_former() { [ -e /etc/kubernetes/admin.conf ] && [ -e "$1" ] && [ "$(unsigned /etc/kubernetes/admin.conf)" = "$(unsigned "$1")" ]; }
unsigned() { grep -v -e '^ *client-certificate-data:' -e '^ *client-key-data:' "$1"; }
