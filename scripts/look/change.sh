# shellcheck shell=sh
# Is a change of an earlier, perhaps killed, run still going on here? And is a run alive that has the lock?
if [ -e /run/kubefab/change ] && ! flock -n /run/kubefab/change true; then
    read -r since title </run/kubefab/change
    echo "change $since $title"
fi
if [ -e /run/kubefab/run ] && ! flock -n /run/kubefab/run true; then
    read -r since holder </run/kubefab/run
    echo "run $since $holder"
fi
