# shellcheck shell=sh
# Tells which of the files that kubefab has written are still as it has left them.
written=/var/lib/kubefab-files # "SHA256 PATH" a line, of each file as it was written
is_as_written() { # is_as_written FILE: without a note of it, its own word counts: an earlier kubefab took no notes
    if grep -qs " $1\$" "$written"; then
        grep -qxF "$(noted "$1" "$1")" "$written"
    else
        grep -qi 'written by kubefab' "$1"
    fi
}
# note_written PATH FILE: called before FILE gets that name, else a run that is killed would leave a file without a note
note_written() {
    line=$(noted "$1" "$2")
    grep -qsxF "$line" "$written" || (umask 077 && printf '%s\n' "$line" >>"$written")
    sync "$written"
}
noted() { printf '%s %s\n' "$(sha256sum <"$2" | cut -d ' ' -f 1)" "$1"; }
keep() { # keep FILE: beside it, unless it is kept already
    for kept in "$1.before-kubefab" "$1.before-kubefab"-*; do
        ! cmp -s "$1" "$kept" || return 0
    done
    kept=$1.before-kubefab
    [ ! -e "$kept" ] || kept=$kept-$(date +%s.%N)
    cp -p "$1" "$kept"
    sync "$kept"
    echo "what was there is now $kept"
}
