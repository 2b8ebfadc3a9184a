#!/bin/sh
# Evicts a node's pods, as their budgets allow, and waits until its volumes are detached. Pods of DaemonSets and static
# pods stay. usage: drain.sh NODE SECONDS ANNOTATION FLAG [VOLUMEATTACHMENT…]
# All of it may take SECONDS. Eviction begins only once no budget holds any pod, lest a drain ends half way. When time
# is over, the Node is uncordoned if the ANNOTATION says that a task has cordoned it, and no person has since.
# FLAG: this kubectl's flag to give up what is in emptyDirs.
set -eu
. "${0%/*}/shared/admin.sh"
. "${0%/*}/shared/cordons.sh"
. "${0%/*}/shared/held.sh"
node=$1 until=$(($(date +%s) + $2)) annotation=$3 flag=$4
shift 4
in_time() { # sets $seconds to those that are left; false where none are
    seconds=$((until - $(date +%s)))
    [ "$seconds" -gt 0 ]
}
whose='s/ \([^,]*\)$/ is held by the budget \1/; /,/{s/ / is held by several budgets: /; s/,/ and /g}'
who_is_held() { # in one line, also that the API server does not say it
    if found=$(held as_admin "$node" 2>&1); then
        [ -z "$found" ] || printf '%s\n' "$found" | sed "$whose" | paste -sd, | sed 's/,/, /g'
    else
        echo "nobody says which budgets hold what: $(printf '%s\n' "$found" | tail -n 1)"
    fi
}
give_up() { # give_up WHY
    echo "$1"
    by=$(as_admin get node "$node" -o "go-template=$(cordons "$annotation")") || by=unknown
    case $by in
        unknown) echo "and $node stays cordoned: who did that cannot be asked just now" ;;
        *"ours $node"*)
            as_admin patch node "$node" --type merge --patch "{\"metadata\":{\"annotations\":{\"$annotation\":null}},\"spec\":{\"unschedulable\":null}}"
            echo "$node takes pods again, as before"
            ;;
        marked*) echo "$node stays cordoned, since a person may have done that: inv node.uncordon --host $node ends it" ;;
        *) echo "$node was cordoned by a person, and stays so" ;;
    esac
    exit 1
}

last=
while now=$(who_is_held) && [ -n "$now" ]; do
    in_time || give_up "time is over, and nothing was evicted: $now"
    [ "$now" = "$last" ] || echo "$now"
    last=$now
    sleep 2
done
in_time || give_up "time is over, and nothing was evicted"
as_admin drain "$node" --ignore-daemonsets --force "$flag" --timeout "${seconds}s" 2>&1 &
drain=$!
# A budget may let some pods go, and hold others until those are Ready elsewhere: kubectl names only the pods.
until timeout 2 tail --pid $drain -s 0.2 -f /dev/null; do who_is_held; done
wait $drain || give_up "$node is not drained: $(who_is_held)"
attached() { # in words, the volumes still attached, or that the API server does not say it
    if found=$(as_admin get volumeattachments "$@" --ignore-not-found --no-headers); then
        [ -z "$found" ] || echo "attached still: $found"
    else
        echo "nobody says which volumes are attached still"
    fi
}
while [ $# != 0 ] && now=$(attached "$@") && [ -n "$now" ]; do
    in_time || give_up "time is over: $now"
    echo "$now"
    sleep 2
done
