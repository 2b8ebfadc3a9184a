#!/bin/sh
# Writes files: from standard input a line each, "MODE PATH BASE64". A text that somebody else wrote is
# kept beside it as PATH.before-kubefab.
set -eu
while read -r mode path data; do
    mkdir -p "${path%/*}"
    case $path in
        *.gpg) ;;
        *) [ ! -e "$path" ] || [ -e "$path.before-kubefab" ] || grep -qi 'written by kubefab' "$path" ||
            cp -p "$path" "$path.before-kubefab" ;;
    esac
    printf '%s' "$data" | base64 -d >"$path.new"
    chmod "$mode" "$path.new"
    mv "$path.new" "$path"
done
