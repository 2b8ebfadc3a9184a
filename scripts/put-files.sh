#!/bin/sh
# Writes files: from standard input a line each, "MODE PATH BASE64". A file that somebody else wrote is
# kept beside it as PATH.before-kubefab.
set -eu
while read -r mode path data; do
    mkdir -p "${path%/*}"
    if [ -e "$path" ] && [ ! -e "$path.before-kubefab" ] && ! grep -qi 'written by kubefab' "$path"; then
        cp -p "$path" "$path.before-kubefab"
    fi
    printf '%s' "$data" | base64 -d >"$path.new"
    chmod "$mode" "$path.new"
    mv "$path.new" "$path"
done
