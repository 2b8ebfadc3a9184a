# shellcheck shell=sh
# The files kubefab keeps on a host: their content and their age. Of those that others write to, too, all of it.
# shellcheck disable=SC2086 # they are words
there=
for path in $PATHS; do
    [ ! -e "$path" ] || there="$there $path"
done
[ -n "$there" ] || exit 0
set -- $there
heard sha256sum -- "$@" | while read -r digest path; do
    fact "file $path $digest"
done
heard stat -c 'mtime %n %.6Y' -- "$@"
for path; do
    case $path in *.gpg | *.json | *.crt) fact "content $path $(heard base64 -w0 "$path")" ;; esac
done
