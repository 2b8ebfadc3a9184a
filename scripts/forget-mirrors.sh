#!/bin/sh
# Removes containerd's mirrors of registries for which hosts.yml names none any more. A file that somebody has changed
# since is kept beside it, as by put-files.sh; so is one that was never noted, as somebody's copy of one of ours.
# usage: forget-mirrors.sh [REGISTRY…]    those that it still names
set -eu
. "${0%/*}/shared/written.sh"
for file in /etc/containerd/certs.d/*/hosts.toml; do
    folder=${file%/*}
    case " $* " in *" ${folder##*/} "*) continue ;; esac
    if head -n 1 "$file" | grep -qs '^# Written by kubefab'; then
        # shellcheck disable=SC2154  # shared/written.sh sets it
        { grep -qs " $file\$" "$written" && is_as_written "$file"; } || keep "$file"
        rm "$file"
        rmdir "$folder" 2>/dev/null || true # somebody's certificates may be there
    fi
done
