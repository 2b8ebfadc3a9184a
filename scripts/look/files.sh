# shellcheck shell=sh
# The files kubefab keeps on a host: their content and their age.
sha256sum -- "$@" | while read -r digest path; do
    echo "file $path $digest"
done
stat -c 'mtime %n %.6Y' -- "$@"
