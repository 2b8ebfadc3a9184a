# shellcheck shell=sh
# The files kubefab keeps on a host: their content and their age. Of those that others write to, too, all of it.
# shellcheck disable=SC2086 # they are words
set -- $PATHS
sha256sum -- "$@" | while read -r digest path; do
    fact "file $path $digest"
done
stat -c 'mtime %n %.6Y' -- "$@"
for path; do
    case $path in *.gpg | *.json) [ ! -r "$path" ] || fact "content $path $(base64 -w0 "$path")" ;; esac
done
