# shellcheck shell=sh
# What $NODES have, whose pods are to go, by a master's word: the pods, whose they are and where they keep something, the
# budgets that hold some of them, who else is there for them, and the volumes. Asked for by those alone who empty a node.
[ -e /etc/kubernetes/admin.conf ] && [ -n "$NODES" ] || exit 0
. "${0%/*}/shared/held.sh"
list() { # list TEMPLATE ARG…: the items of a list, by a template of go
    template="go-template={{range .items}}$1{{end}}"
    shift
    ask_api get "$@" --all-namespaces -o "$template" || exit 0
}
case $NODES in *' '*) node= ;; *) node=$NODES ;; esac # of several the pods of all are asked for at once
controller='{{range .metadata.ownerReferences}}{{if .controller}}{{.kind}}/{{.name}}{{end}}{{end}}'
# A path may hold a line of its own.
volumes='{{range .spec.volumes}}{{if ne (printf "%v" .emptyDir) "<nil>"}}|emptyDir {{.name}}{{end}}'
volumes=$volumes'{{if ne (printf "%v" .ephemeral) "<nil>"}}|ephemeral {{.name}}{{end}}'
volumes=$volumes'{{with .hostPath}}|hostPath {{printf "%q" .path}}{{end}}'
volumes=$volumes'{{with .persistentVolumeClaim}}|claim {{.claimName}}{{end}}{{end}}'
is='{{with .metadata.annotations}}{{with index . "kubernetes.io/config.mirror"}}static {{end}}{{end}}'
is=$is'{{with .metadata.deletionTimestamp}}ending {{end}}{{range .status.conditions}}{{if eq .type "Ready"}}{{if eq .status "True"}}ready {{end}}{{end}}{{end}}'
on='{{"\n"}}on {{.metadata.namespace}}/{{.metadata.name}} {{.spec.nodeName}}{{"\n"}}'
list "pod {{.metadata.namespace}}/{{.metadata.name}}|$controller|$is{{.status.phase}}$volumes$on" \
    pods --field-selector "spec.nodeName${node:+=}${node:-!=}"
list "replicas {{.metadata.namespace}}/{{.kind}}/{{.metadata.name}} {{or .status.readyReplicas 0}} $controller{{\"\\n\"}}" \
    replicasets.apps,statefulsets.apps,replicationcontrollers
list '{{if .spec.claimRef}}kept {{.spec.claimRef.namespace}}/{{.spec.claimRef.name}} {{.metadata.name}}{{if .spec.local}} here{{else if .spec.hostPath}} here{{end}}{{"\n"}}{{end}}' \
    persistentvolumes
list 'attached {{.metadata.name}} {{.spec.source.persistentVolumeName}}{{"\n"}}on {{.metadata.name}} {{.spec.nodeName}}{{"\n"}}' \
    volumeattachments
found=$(held ask_api "$node") || exit 0
[ -z "$found" ] || printf '%s\n' "$found" | sed 's/^/held /'
fact "pods_told yes"
