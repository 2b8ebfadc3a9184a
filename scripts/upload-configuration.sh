#!/bin/sh
# Has kubeadm keep a configuration in the cluster, for joins and upgrades. usage: upload-configuration.sh PART
# NAME:[SETTING]…    PART: kubeadm's name for it; SETTING: what hosts.yml says of NAME; standard input: kubeadm's
# documents. Settings by hosts.yml are noted as "stored" (shared/marks.sh) before the upload, so that they go once
# hosts.yml says them no more, even if it fails; as "taken" only after it, since kubeadm leaves out what is empty.
# shellcheck disable=SC2154  # shared/marks.sh sets $marks
set -eu
. "${0%/*}/shared/unproxied.sh"
. "${0%/*}/shared/marks.sh"
part=$1
shift
said() { # said WORD NAME ARG…: a line for each of its settings
    word=$1 name=$2
    shift 2
    for told; do
        case $told in "$name":?*) echo "$word ${told#*:}" ;; esac
    done
}
note() { # note NAME WORDS: replaces the mark's lines with these words by those of standard input
    mark=$marks/$1.mark
    if [ -e "$mark" ]; then
        { sed -E "/^($2) /d" "$mark" && sort -u; } >"$mark.new"
        sync "$mark.new"
        mv "$mark.new" "$mark"
        sync "$marks"
    fi
}
for one; do
    { said stored "${one%%:*}" "$@" && sed -n '/^stored /p' "$marks/${one%%:*}.mark" 2>/dev/null; } |
        note "${one%%:*}" stored
done
kubeadm init phase upload-config "$part" --config /dev/stdin
for one; do
    { said stored "${one%%:*}" "$@" && said taken "${one%%:*}" "$@"; } | note "${one%%:*}" 'stored|taken'
done
