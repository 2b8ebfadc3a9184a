#!/bin/sh
# Puts the admin's present certificate and key into the SSH login's ~/.kube/config in place of earlier ones; all else in
# it stays. usage: renew-kubeconfig.sh CERTIFICATE…    CERTIFICATE: an earlier one, as client-certificate-data has it
set -eu
. "${0%/*}/shared/bare.sh"
entry=$(getent passwd "${SUDO_USER:-root}")
file=$(readlink -f "$(echo "$entry" | cut -d: -f6)/.kube/config")
new=$file.kubefab
trap 'rm -f "$new"' EXIT
cp -p "$file" "$new"
# shellcheck disable=SC2154  # shared/bare.sh sets $bare
awk -v certificates="$*" -v certificate=client-certificate-data: -v key=client-key-data: "$bare"'
    function renewed(line, name) { # its second word; a comment may follow
        match(line, /^[ \t]*[^ \t]+[ \t]+[^ \t]+/)
        rest = substr(line, RLENGTH + 1)
        line = substr(line, 1, RLENGTH)
        sub(/[^ \t]+$/, now[name], line)
        return line rest
    }
    BEGIN { for (n = split(certificates, words, " "); n > 0; n--) former[words[n]] = 1 }
    NR == FNR { now[$1] = $2; next }
    FNR == 1 && !(now[certificate] && now[key]) { exit 1 }
    held != "" {
        is_pair = $1 == key && bare($2) != ""
        print is_pair ? renewed(held, certificate) : held
        held = ""
        if (is_pair) { print renewed($0, key); next }
    }
    $1 == certificate && bare($2) in former { held = $0; next }
    { print }
    END { if (held != "") print held }' /etc/kubernetes/admin.conf "$file" >"$new"
sync "$new"
mv "$new" "$file"
sync "${file%/*}"
