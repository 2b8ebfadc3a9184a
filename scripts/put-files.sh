#!/bin/sh
# Writes files: from standard input a line each, "MODE PATH BASE64". A file that somebody else wrote, or has changed
# since, is kept beside it: as PATH.before-kubefab, and later ones as PATH.before-kubefab-TIME. MODE as-it-is keeps mode
# and owner of a file that holds somebody else's text, too, so that nobody new can read it; 0644 for a new file.
# usage: put-files.sh [LIST]    LIST: the file that notes what was written
set -eu
. "${0%/*}/shared/replace.sh"
written=${1:-$written}
while read -r mode path data; do
    mkdir -p "${path%/*}"
    rm -f "$path.kubefab"
    (umask 077 && printf '%s' "$data" | base64 -d >"$path.kubefab")
    if [ "$mode" != as-it-is ]; then
        chmod "$mode" "$path.kubefab"
    elif [ -e "$path" ]; then
        chown --reference "$path" "$path.kubefab"
        chmod --reference "$path" "$path.kubefab"
    else
        chmod 0644 "$path.kubefab"
    fi
    replace "$path"
done
