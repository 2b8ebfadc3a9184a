# shellcheck shell=sh
# How far a restore of etcd has come on this master, and what it needs to know of its etcd.
. "${0%/*}/shared/restore.sh"
. "${0%/*}/shared/pki.sh"
. "${0%/*}/shared/etcd.sh"
if [ -e /var/lib/kubefab/restore ]; then
    { read -r _ && read -r id && read -r digest; } </var/lib/kubefab/restore
    fact "under_way $id"
    fact "snapshot $digest"
fi
for name in $(shared_keys); do
    [ ! -s "/etc/kubernetes/pki/$name" ] || fact "key pki/$name $(sha256sum <"/etc/kubernetes/pki/$name" | cut -c1-64)"
done
etcds_manifest >/dev/null 2>&1 || exit 0
fact "peer $(etcds_flag name)=$(etcds_flag initial-advertise-peer-urls)"
fact "wal $(etcds_flag wal-dir)"
fact "image $(etcds_image)"
for manifest in /etc/kubernetes/kubefab-restore/*.yaml; do
    [ ! -e "$manifest" ] || fact "aside ${manifest##*/}"
done
found=$(running 2>&1) || untold "$found"
printf '%s\n' "$found" | while read -r part _; do [ -z "$part" ] || fact "runs $part"; done
# shellcheck disable=SC2034  # etcd_program reads it
etcd=$(printf '%s\n' "$found" | sed -n 's/^etcd //p' | head -n 1)
# Asked in this order: where etcd ends meanwhile, it is not known.
if ! etcd_program etcdutl >/dev/null 2>&1 && etcd_program etcd >/dev/null 2>&1; then fact "lacks_etcdutl yes"; fi
folder=$(etcds_folder 2>/dev/null) || exit 0
fact "folder $folder"
# Its rename takes a mount in it along, and the next boot mounts that over the data that have taken their place.
data=$(readlink -f "$folder")/member
[ -L "$data" ] || fact "mounted $(data="$data" awk '
    { gsub(/\\040/, " ", $5) }
    $5 == ENVIRON["data"] || index($5, ENVIRON["data"] "/") == 1 { print $5; exit }' /proc/self/mountinfo)"
fact "staged $(restored_in "$folder/kubefab-restore/member")"
fact "restored $(restored_in "$folder/member")"
fact "restored_at $(stat -c %Y "$folder/member/kubefab-restored" 2>/dev/null)"
fact "free_mib $(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }')"
