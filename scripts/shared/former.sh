# shellcheck shell=sh
# is_former FILE: whether it is admin.conf but for its user's certificate
is_former() { [ -e /etc/kubernetes/admin.conf ] && [ -e "$1" ] && [ "$(unsigned /etc/kubernetes/admin.conf)" = "$(unsigned "$1")" ]; }
unsigned() { grep -v -e '^ *client-certificate-data:' -e '^ *client-key-data:' "$1"; }
