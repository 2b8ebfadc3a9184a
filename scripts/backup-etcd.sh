#!/bin/sh
# Written by kubefab: backs etcd up on this master, where its member leads. usage: backup-etcd.sh KEEP
# kubefab-backup.timer starts it on all masters at the same time; only the one whose member leads makes a backup. That
# gets its name, the time, once it is checked. KEEP of this cluster's stay, and all of former ones. "failed" says when
# the last run that failed began, and why it failed.
set -eu
umask 077
export LC_ALL=C
. "${0%/*}/shared/etcd.sh"
. "${0%/*}/shared/keys.sh"
. "${0%/*}/shared/snapshot.sh"
. "${0%/*}/shared/backups.sh"
case ${1:-} in "" | 0* | *[!0-9]*) echo "found ${1:-}; allowed: how many are kept, from 1 on" >&2 && exit 1 ;; esac
# shellcheck disable=SC2154  # shared/backups.sh sets it
mkdir -p "$backups"
part=
began=$(date +%s)
said=$(mktemp /run/kubefab-backup.XXXXXX)
exec 3>&2 2>"$said"
ended() {
    status=$?
    set +e # one of these may fail, on a full disk say: the rest has to be done
    rm -rf "$part"
    if [ "$status" != 0 ]; then
        printf '%s %s\n' "$began" "$(tail -n 1 "$said")" >"$backups/failed.new" &&
            sync "$backups/failed.new" && mv "$backups/failed.new" "$backups/failed"
    fi
    cat "$said" >&3
    rm -f "$said"
}
trap ended EXIT
trap 'echo "it was ended before it was done" >&2; exit 1' HUP INT TERM
refuse() { echo "$1" >&2 && exit 1; }
if [ -e /var/lib/kubefab/restore ]; then
    echo "a restore of etcd is under way: no backup before its end"
    exit
fi

status() { ask_etcd 10 --command-timeout 9s endpoint status --write-out json | grep '^\[{'; }
led() { case $(number leader) in "" | 0) return 1 ;; esac; }
number() { printf '%s\n' "$member" | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p"; }
# After a boot etcd needs some minutes to have a leader, since masters boot one after another.
tries=150
until find_etcd "$(named ss -Hltnp)" && member=$(status) && led; do
    tries=$((tries - 1))
    if [ "$tries" = 0 ]; then
        require_etcd
        member=$(status) || refuse "etcd gives no answer: $(tail -n 1 "$said")"
        refuse "etcd has no leader"
    fi
    sleep 4
done
[ "$(number leader)" = "$(number member_id)" ] || exit 0

exec 9>>"$backups/lock"
flock -w 900 9 || refuse "backups are being fetched, or made, for a quarter of an hour"
rm -rf "$backups"/.part.*
wanted=$(($(number dbSize) * 2 / 1000000)) free=$(($(df -Pk "$backups" | awk 'NR == 2 { print $4 }') * 1024 / 1000000))
[ "$free" -ge "$wanted" ] || refuse "$backups has $free MB free; wanted: $wanted MB, twice the database"
part=$(mktemp -d "$backups/.part.XXXXXX")
now=$(date -u +%Y-%m-%dT%H-%M-%SZ)
checked=$(save_snapshot 1200 "$part/snapshot.db")
sum=$(head -c -32 "$part/snapshot.db" | sha256sum | cut -d ' ' -f 1)
[ "$sum" = "$(tail -c 32 "$part/snapshot.db" | od -An -v -tx1 | tr -d ' \n')" ] ||
    refuse "the snapshot is not what etcd has sent: its checksum is another one"
print_keys >"$part/keys"
# kube-system's UID tells etcds apart: one that has begun anew over an emptied folder has the former CA, and the former
# ids, which are made of names. A restore keeps the UID. It cannot be read where namespaces are encrypted.
ask_etcd 10 --command-timeout 9s get /registry/namespaces/kube-system --print-value-only >"$part/whose" ||
    refuse "etcd does not say whose it is: $(tail -n 1 "$said")"
identity=$(grep -aoE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' "$part/whose" | head -n 1)
rm "$part/whose"
identity=${identity:-etcd $(number cluster_id)}
{
    printf 'identity %s\n' "$identity"
    printf 'checked %s\n' "$checked"
    printf 'member %s\n' "$member"
    printf 'membership %s\n' "$(ask_etcd 10 member list --write-out json | grep '^{')"
    printf 'kubernetes %s\n' "$(sed -n 's/^ *image: .*kube-apiserver:v\([0-9.]*\).*/\1/p' \
        /etc/kubernetes/manifests/kube-apiserver.yaml)"
    # shellcheck disable=SC2016 # dpkg-query's own word
    printf 'kubeadm %s\n' "$(dpkg-query -W -f '${Version}' kubeadm)"
} >"$part/about"
sync "$part"/* "$part"
mv -T "$part" "$backups/$now"
sync "$backups"
echo "$backups/$now: $checked"
encrypts=$(flag_in /etc/kubernetes/manifests/kube-apiserver.yaml encryption-provider-config) without=
for name in pki/ca.key ${encrypts:+encryption-provider-config}; do
    grep -q "^$name " "$backups/$now/keys" || without="$without $name"
done
[ -z "$without" ] || echo "it is without$without, which are not on this host: keep them with it"

# However wrong the clock was, the new backup stays; those with later names go first.
ours() {
    kept | while read -r one; do
        ! of_this_cluster "$one" || ! grep -qsxF "identity $identity" "$backups/$one/about" || echo "$one"
    done
}
{
    ours | awk -v now="$now" '$0 > now'
    ours | awk -v now="$now" '$0 < now'
} | head -n "-$(($1 - 1))" | while read -r old; do
    part=$(mktemp -d "$backups/.part.XXXXXX")
    mv "$backups/$old" "$part"
    rm -rf "$part"
done
