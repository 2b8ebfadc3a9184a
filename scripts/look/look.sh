# shellcheck shell=sh
# The look: prints what is true on this host, a fact a line, and changes nothing.
# usage: look.sh PART…
# The other files of this folder travel in front of this one, each as a function look_PART; and what they ask of
# ($PATHS, $UNITS, $PACKAGES, $MODULES, $SYSCTLS, $KINDS, $BALANCER, $NODES: see kubefab/questions.py); and $mark, a word
# that stands in the lines between which a part is.
set -u
fact() { # fact LINE: one, whatever is in it: a file's name may hold a line of its own
    case $1 in
        *[[:cntrl:]]*) printf '%s' "$1" | tr '[:cntrl:]' '?' && echo ;;
        *) printf '%s\n' "$1" ;;
    esac
}
untold() { # untold WHY: the part that calls it ends here, and counts as not looked at
    fact "${silent:-untold} $1"
    exit 0
}
# at_most SECONDS: so long may one question take; or less, where who asks has less $patience.
at_most() { echo "$(($1 < ${patience:-60} ? $1 : ${patience:-60}))"; }
# bare VALUE: of a line of YAML, without its quotes and the comment behind it, which a person may have written
bare() { printf '%s\n' "$1" | sed "s/ #.*//; s/ *$//; s/^[\"']//; s/[\"']$//"; }
last_of() { printf '%s\n' "$1" | tail -n 1; } # last_of TEXT: its last line
# heard COMMAND…: what it prints. Where it fails, or does not end, the part that asks counts as not looked at, from
# within a pipe too: 3 is what the part says. Other hosts' gaps read some parts: there `silent` names a fact that says
# so in its place. What is not installed has nothing to tell: ask `has` first.
heard() {
    status=0 limit=$(at_most 15)
    { why=$(timeout -k 2 "$limit" "$@" 2>&1 >&4) || status=$?; } 4>&1
    case $status in
        0) return ;;
        124 | 137) why="no answer in $limit s" ;;
        *) why=$(last_of "${why:-exit status $status}") ;;
    esac
    untold "$1: $why" >&3
}
has() { command -v "$1" >/dev/null; } # has COMMAND
. "${0%/*}/shared/admin.sh"
. "${0%/*}/shared/stopped.sh"
# ask_api ARG…: kubectl, for no longer than a look may wait: of several kinds it asks for one after the other, and on a
# busy machine of little speed takes a quarter of a minute for four. Who asks of many sets $longer; a caller gives up on a
# look that has said nothing for a minute.
ask_api() { within="timeout -k 2 $(answers_within)" as_admin --request-timeout 5s "$@"; }
answers_within() { at_most "${longer:-30}"; }
no_answer() { echo "no answer in $(answers_within) s"; } # what to say where it has printed nothing
# astray: why admin.conf tells nothing of this host's cluster. Others put theirs into it too, as `vcluster connect` does where
# KUBECONFIG names it, and kubectl goes to the one that was chosen last; the parts read its last one.
astray() {
    [ "$(grep -cs '^ *server:' /etc/kubernetes/admin.conf)" -gt 1 ] || return 0
    chosen=$(as_admin config view --raw --flatten --minify -o \
        'jsonpath={.clusters[0].cluster.certificate-authority-data} {.clusters[0].cluster.server}')
    if [ "$chosen" != "$(last_in admin.conf)" ] || [ "${chosen% *}" != "$(last_in kubelet.conf | sed 's/ .*//')" ]; then
        echo "KUBECONFIG=/etc/kubernetes/admin.conf kubectl config view: it has clusters that are not this host's; choose" \
            "its own by \`config use-context\`, and take the others out by \`config delete-cluster\`"
    fi
}
last_in() { # last_in CONF: the CA and the server of its last cluster
    awk '$1 == "certificate-authority-data:" { ca = $2 } $1 == "server:" { server = $2 } END { print ca, server }' \
        "/etc/kubernetes/$1"
}
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin"
mark=${mark:+$mark }
tell() { # tell PART: all that a part says, in one piece; its end alone says that nothing is missing
    end="
end $mark$1"
    found=$("look_$1" 3>&1 </dev/null 2>/dev/null) || end=
    flock 9
    printf '== %s%s%s%s\n' "$mark" "$1" "${found:+
$found}" "$end"
}
# All parts at once, but for the first: what a change is about to change has to be looked at after it.
# What they take turns by is this pipe: it has no name, so that nobody else can hold it up.
: | {
    exec 8<&0
    for part; do
        tell "$part" 9<>/proc/self/fd/8 8<&- &
        [ "$part" != change ] || wait
    done
    wait
}
