#!/bin/sh
# Writes files: from standard input a line each, "MODE PATH BASE64". Each text that somebody else wrote is kept beside
# it: as PATH.before-kubefab, and later ones as PATH.before-kubefab-TIME.
set -eu
keep() { # keep FILE: beside it, unless it is kept already
    for kept in "$1.before-kubefab" "$1.before-kubefab"-*; do
        ! cmp -s "$1" "$kept" || return 0
    done
    kept=$1.before-kubefab
    [ ! -e "$kept" ] || kept=$kept-$(date +%s.%N)
    cp -p "$1" "$kept"
    sync "$kept"
}
while read -r mode path data; do
    folder=${path%/*}
    mkdir -p "$folder"
    printf '%s' "$data" | base64 -d >"$path.kubefab"
    [ ! -e "$path" ] || cmp -s "$path" "$path.kubefab" || grep -qi 'written by kubefab' "$path" || keep "$path"
    chmod "$mode" "$path.kubefab"
    # After a power cut a file that was renamed and not synced may be empty.
    sync "$path.kubefab"
    mv "$path.kubefab" "$path"
    sync "$folder"
done
