# shellcheck shell=sh
# Debian $PACKAGES: which are there and held, whether dpkg was broken off, and who holds its lock.
# shellcheck disable=SC2016,SC2086 # dpkg-query expands it; they are words
timeout -k 2 "$(at_most 20)" dpkg-query -W -f 'package ${Package} ${db:Status-Abbrev} ${Version}\n' $PACKAGES
case $? in 0 | 1) ;; *) untold "dpkg-query does not answer" ;; esac # 1: it knows nothing of some of them
# By their states: `dpkg --audit` also names what nobody can mend, as a vendor's package without md5sums.
heard dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' |
    sed -n -e 's/^.[HUFWt]. /dpkg_broken /p' -e 's/^..R /dpkg_broken /p'

# apt and dpkg take POSIX locks; the kernel lists them by inode. (flock(1) would not see them.)
locks="/var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock"
inodes=$(stat -c %i $locks)
has_open() { # has_open PROCESS: one of these; a file of another disk may have the number of one of theirs
    for file in "/proc/$1/fd"/*; do
        for lock in $locks; do
            [ ! "$file" -ef "$lock" ] || return 0
        done
    done
    return 1
}
while read -r _ _ _ _ pid device _; do
    for inode in $inodes; do
        if [ "${device##*:}" = "$inode" ] && has_open "$pid" && read -r name <"/proc/$pid/comm"; then
            fact "apt_lock $name (process $pid)"
        fi
    done
done </proc/locks

# What apt has fetched, whether it is installed or not.
for file in /var/cache/apt/archives/kube*.deb; do
    [ ! -e "$file" ] || fact "fetched ${file##*/}"
done
# Somebody may have removed what a package brought.
for plugin in /opt/cni/bin/*; do
    [ ! -x "$plugin" ] || fact "plugin ${plugin##*/}"
done

# Where apt's packages come from: apt_source FILE URI KEYRING. One repository under two keyrings stops all of apt.
is_apts() { # is_apts FILE: what has other characters in its name, apt passes over
    [ -e "$1" ] && [ "$1" = "${1%%[!A-Za-z0-9/._-]*}" ]
}
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    ! is_apts "$file" || awk '$1 == "deb" {
        key = $0
        if (!sub(/.*signed-by=/, "", key)) key = "-"
        sub(/[] ].*/, "", key)
        sub(/^[ \t]*deb[ \t]+(\[[^]]*\][ \t]*)?/, "")
        print "apt_source", FILENAME, $1, key
    }' "$file"
done
for file in /etc/apt/sources.list.d/*.sources; do
    ! is_apts "$file" || awk -v RS= -F '\n' -v off='^(0|no|false|without|off|disable)$' '{
        uris = key = enabled = ""
        for (i = 1; i <= NF; i++) {
            name = tolower($i)
            sub(/:.*/, "", name)
            value = $i
            sub(/^[^:]*:[ \t]*/, "", value)
            if (name == "uris") uris = value
            if (name == "signed-by") key = value ~ /^\// ? value : "(inline)"
            if (name == "enabled") enabled = tolower(value)
        }
        count = split(uris, each, /[ \t]+/)
        for (i = 1; i <= count && enabled !~ off; i++) print "apt_source", FILENAME, each[i], key ? key : "-"
    }' "$file"
done
