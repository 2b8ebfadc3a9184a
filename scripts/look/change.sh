# shellcheck shell=sh
# Is a change of an earlier, perhaps killed, run still going on here?
if [ -e /run/kubefab/change ] && ! flock -n /run/kubefab/change true; then
    read -r since title </run/kubefab/change
    echo "change $since $title"
fi
