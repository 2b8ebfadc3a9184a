#!/bin/sh
# Writes files: from standard input a line each, "MODE PATH BASE64". Each text that somebody else wrote, or has changed
# since, is kept beside it: as PATH.before-kubefab, and later ones as PATH.before-kubefab-TIME. MODE may be as-it-is: where
# the text holds what is somebody else's, nobody reads it who could not before, and its owner stays; 0644 where there is
# none yet.
# usage: put-files.sh [LIST]    where it is noted what was written
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
