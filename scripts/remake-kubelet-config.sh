#!/bin/sh
# Has kubeadm rewrite this node's kubelet configuration, from what it keeps in the cluster, and restarts the kubelet.
# The former configuration is put back where the node is not well in time. A run that was killed is finished first.
# usage: remake-kubelet-config.sh SECONDS [PATCHES [LINE…]]    PATCHES: the user's folder, or ""; without it only a run
# that was killed is finished, where it is no failure to be well with the former one; LINE: what to mark it with
# (shared/marks.sh)
# shellcheck disable=SC2154  # shared/marks.sh sets $former
set -eu
. "${0%/*}/shared/unproxied.sh"
. "${0%/*}/shared/copies.sh"
. "${0%/*}/shared/marks.sh"
. "${0%/*}/shared/touched.sh"
seconds=$1 config=$(path_of kubelet)
# The node's name, from its certificate: in a cluster made by hand it may be another than the host's.
node=$(openssl x509 -noout -subject -nameopt multiline -in /var/lib/kubelet/pki/kubelet-client-current.pem 2>/dev/null |
    sed -n 's/^ *commonName *= system:node://p')
looks=6 # so many in a row, 5 s apart: an eviction is decided within 10 s, and told within 10 s more

# conditions: what an API server knows of this node, and when its kubelet said so; nothing where none answers
conditions() {
    [ -n "$node" ] || return 0
    kubectl --kubeconfig /etc/kubernetes/kubelet.conf --cache-dir /run/kubefab/kubectl --request-timeout 5s get node "$node" \
        --output 'jsonpath={range .status.conditions[*]}{.type}={.status} {.lastHeartbeatTime}{"\n"}{end}' 2>/dev/null || true
}
# amiss CONDITIONS: what of them is not well
amiss() {
    printf '%s\n' "$1" | while IFS='= ' read -r what is heard; do
        case $what/$is in
            Ready/True) [ "$(date -d "$heard" +%s)" -ge "$since" ] || echo "the kubelet has not told of itself" ;;
            Ready/* | *Pressure/True) echo "$what is $is" ;;
        esac
    done | paste -s -d , -
}
start() {
    touch_future "$config"
    systemctl restart kubelet
    since=$(date +%s) process=$(systemctl show --property MainPID --value kubelet)
}
# proven: waits until the node is Ready and without pressure with the new kubelet process, and stays so. Where no API
# server answers all the while, only the process counts. After it has ended three times this waits no longer.
proven() {
    lasts=0 well=0 ended=0 asked=no wrong='' until=$(($(date +%s) + seconds))
    while [ "$(date +%s)" -lt "$until" ] && [ "$ended" -lt 3 ]; do
        sleep 5
        before=$process process=$(systemctl show --property MainPID --value kubelet)
        if systemctl is-active --quiet kubelet && [ "$process" = "$before" ]; then
            lasts=$((lasts + 1))
        else
            lasts=0 ended=$((ended + 1))
        fi
        said=$(conditions)
        [ -z "$said" ] || asked=yes
        wrong=$(amiss "$said")
        [ "$lasts" != 0 ] || wrong="the kubelet does not run"
        if [ -n "$wrong" ]; then well=0; elif [ -n "$said" ]; then well=$((well + 1)); fi
        [ "$well" -lt "$looks" ] || return 0
    done
    [ "$asked" = no ] && [ "$lasts" -ge "$looks" ] || return 1
    echo "no API server has answered: the kubelet runs, and nobody has told whether the node is Ready"
}
place() { # place FILE: makes it the configuration
    cp -p "$1" "$config.kubefab"
    sync "$config.kubefab"
    mv "$config.kubefab" "$config"
    sync "${config%/*}"
}
# finish: marks the new configuration where the node is well with it; else puts the former one back, and $borne is "no"
finish() {
    borne=yes
    start
    if proven; then
        lines_as mark kubelet "$config" <"$former/kubelet.lines"
        forget_former kubelet
    else
        borne=no
        said=$(journalctl --unit kubelet --lines 3 --output cat 2>/dev/null | cut -c 1-300)
        place "$former/kubelet.yaml"
        forget_former kubelet
        systemctl restart kubelet
        how="the node is not well by the kubelet's new configuration (${wrong:-not for long enough})"
        printf '%s\n' "$said" "$how: the former one is there again" >&2
    fi
}
if [ -e "$former/kubelet.yaml" ]; then
    if cmp -s "$former/kubelet.yaml" "$config"; then # killed before the new one was there, or once the former was back
        forget_former kubelet
        systemctl restart kubelet
    else
        finish
    fi
fi
[ $# -gt 1 ] || exit 0
patches=$2
shift 2
mkdir -p "$former"
kept_aside kubelet
for line; do printf '%s\n' "$line"; done >"$former/kubelet.lines"
cp -p "$config" "$former/kubelet.yaml.new"
sync "$former/kubelet.lines" "$former/kubelet.yaml.new"
mv "$former/kubelet.yaml.new" "$former/kubelet.yaml"
sync "$former"
there=$(kubeadm_copies)
status=0
kubeadm upgrade node phase kubelet-config ${patches:+--patches "$patches"} || status=$?
kubeadm_copies | grep -vxF -e "${there:- }" | while read -r copy; do rm -r "$copy"; done
if [ "$status" != 0 ]; then
    place "$former/kubelet.yaml"
    forget_former kubelet
    exit "$status"
fi
sync "$config"
finish
[ "$borne" = yes ]
