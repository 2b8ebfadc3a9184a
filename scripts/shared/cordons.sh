# shellcheck shell=sh
# cordons ANNOTATION: a Go template that tells of a Node "marked NAME" where it has the annotation by which a task says
# that it has cordoned it, and "ours NAME" where that still holds: the annotation stays when a person uncordons with
# kubectl and cordons again later. managedFields name who has set `unschedulable` last; a task does so under the
# annotation's name. Where they do not, the annotation alone is not enough: it is easy to undo a cordon that was left,
# but to undo a person's own may cost them a node. A template gets managedFields from every kubectl, unlike JSON (1.21).
cordons() {
    # shellcheck disable=SC2016 # these are the template's
    field='{{range $field, $_ := .}}{{if eq $field "f:unschedulable"}}ours {{$node.metadata.name}}{{println}}{{end}}{{end}}'
    owned="{{range \$node.metadata.managedFields}}{{if eq .manager \"$1\"}}{{with .fieldsV1}}{{with index . \"f:spec\"}}$field{{end}}{{end}}{{end}}{{end}}"
    echo "{{\$node := .}}{{with .metadata.annotations}}{{with index . \"$1\"}}marked {{\$node.metadata.name}}{{println}}$owned{{end}}{{end}}"
}
