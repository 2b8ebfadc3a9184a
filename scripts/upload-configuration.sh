#!/bin/sh
# Has kubeadm keep a configuration in the cluster, by which joins and upgrades go. usage: upload-configuration.sh PART
# NAME:[SETTING]…    PART: kubeadm's name for it; SETTING: what hosts.yml says of NAME; standard input: kubeadm's documents.
# What may be in it by hosts.yml is remembered from before on (shared/marks.sh), so that it goes once hosts.yml says it no
# more, whether anybody bears it or not.
# shellcheck disable=SC2154  # shared/marks.sh sets $marks
set -eu
. "${0%/*}/shared/unproxied.sh"
. "${0%/*}/shared/marks.sh"
part=$1
shift
stored() { # stored NAME ARG…: a line for each of its settings
    name=$1
    shift
    for told; do
        case $told in "$name":?*) echo "stored ${told#*:}" ;; esac
    done
}
note() { # note NAME: the lines of standard input are all that it has of them
    mark=$marks/$1.mark
    if [ -e "$mark" ]; then
        { sed '/^stored /d' "$mark" && sort -u; } >"$mark.new"
        sync "$mark.new"
        mv "$mark.new" "$mark"
        sync "$marks"
    fi
}
for one; do
    { stored "${one%%:*}" "$@" && sed -n '/^stored /p' "$marks/${one%%:*}.mark" 2>/dev/null; } | note "${one%%:*}"
done
kubeadm init phase upload-config "$part" --config /dev/stdin
for one; do
    stored "${one%%:*}" "$@" | note "${one%%:*}"
done
