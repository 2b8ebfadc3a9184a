# shellcheck shell=sh
. "${0%/*}/shared/written.sh"
# replace PATH: puts its draft, PATH.kubefab, in its place; somebody else's file there is kept beside it
replace() {
    [ ! -e "$1" ] || cmp -s "$1" "$1.kubefab" || is_as_written "$1" || keep "$1"
    # After a power cut a file that was renamed and not synced may be empty.
    sync "$1.kubefab"
    note_written "$1" "$1.kubefab"
    mv "$1.kubefab" "$1"
    sync "${1%/*}"
}
