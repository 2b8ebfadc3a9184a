# shellcheck shell=sh
# Which changes of an earlier, perhaps killed, run still go on here? And is a run alive that has the lock?
# Asked with a lock that looks share: two of them at one time are neither.
# `change SINCE ABOUT|TITLE`: what it is about is empty where it is this machine (scripts/change.sh)
for file in /run/kubefab/change /run/kubefab/about-????????????????; do
    if [ -e "$file" ] && ! flock -n -s "$file" true; then
        read -r since what <"$file"
        fact "change $since $what"
    fi
done
if [ -e /run/kubefab/run ] && ! flock -n -s /run/kubefab/run true; then
    read -r since holder </run/kubefab/run
    fact "run $since $holder"
fi
