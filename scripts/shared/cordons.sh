# shellcheck shell=sh
# cordons ANNOTATION: of a Node, as a template of go, "marked NAME" where it has the annotation by which a task says that it
# keeps pods off, and "ours NAME" where that is so still: kubectl takes no annotation away when a person uncordons, and cordons
# again later. Who has set `unschedulable` last the Node itself says; a task does so under the annotation's name. Where it does
# not say it, the annotation alone is not enough: to leave a cordon costs a word, to undo a person's own may cost him a node.
# A template is given metadata.managedFields by every kubectl, as JSON since 1.21 is not.
cordons() {
    # shellcheck disable=SC2016 # these are the template's
    field='{{range $field, $_ := .}}{{if eq $field "f:unschedulable"}}ours {{$node.metadata.name}}{{println}}{{end}}{{end}}'
    owned="{{range \$node.metadata.managedFields}}{{if eq .manager \"$1\"}}{{with .fieldsV1}}{{with index . \"f:spec\"}}$field{{end}}{{end}}{{end}}{{end}}"
    echo "{{\$node := .}}{{with .metadata.annotations}}{{with index . \"$1\"}}marked {{\$node.metadata.name}}{{println}}$owned{{end}}{{end}}"
}
