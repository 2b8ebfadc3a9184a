# shellcheck shell=sh
# held ASK NODE: the pods there that a budget holds now, "NAMESPACE/POD BUDGET" a line, by way of ASK, which is as_admin or
# what limits it; those of all nodes where NODE is empty. The API server itself says whom a budget is about. False where it
# does not answer.
# As its eviction does (pkg/registry/core/pod/storage/eviction.go), this passes over pods that do not run, that end
# already, and those not Ready that the budget lets go; and over those that no drain takes.
held() {
    budgets=$("$1" get poddisruptionbudgets --all-namespaces -o "go-template=$held_budgets") || return 1
    [ -n "$budgets" ] || return 0
    printf '%s\n' "$budgets" | while read -r space budget policy healthy wanted selector; do
        pods=$("$1" get pods --namespace "$space" --selector "${selector%,}" \
            --field-selector "spec.nodeName${2:+=}${2:-!=}" -o "go-template=$held_pods") || return 1
        least=True
        if [ "$policy" != AlwaysAllow ] && { [ "$wanted" = 0 ] || [ "$healthy" -lt "$wanted" ]; }; then least=; fi
        [ -z "$pods" ] || printf '%s\n' "$pods" | awk -v space="$space" -v budget="$budget" -v least="$least" \
            '$2 == "Running" && $3 ~ "^" least && $4 !~ /DaemonSet|Node/ { print space "/" $1, budget }'
    done
}
# shellcheck disable=SC2016 # names of a template
held_values='({{range $i, $v := .values}}{{if $i}},{{end}}{{$v}}{{end}}),'
# A budget without a selector is about nobody; the one of an empty mapping about all of its namespace.
held_budgets='{{range .items}}{{if and (eq (printf "%v" .status.disruptionsAllowed) "0") (ne (printf "%v" .spec.selector) "<nil>")}}'
held_budgets=$held_budgets'{{.metadata.namespace}} {{.metadata.name}} {{or .spec.unhealthyPodEvictionPolicy "-"}} '
held_budgets=$held_budgets'{{.status.currentHealthy}} {{.status.desiredHealthy}} '
# shellcheck disable=SC2016
held_budgets=$held_budgets'{{range $k, $v := .spec.selector.matchLabels}}{{$k}}={{$v}},{{end}}{{range .spec.selector.matchExpressions}}'
held_budgets=$held_budgets'{{if eq .operator "In"}}{{.key}} in '$held_values'{{else if eq .operator "NotIn"}}{{.key}} notin '$held_values
held_budgets=$held_budgets'{{else if eq .operator "Exists"}}{{.key}},{{else}}!{{.key}},{{end}}{{end}}{{"\n"}}{{end}}{{end}}'
held_pods='{{range .items}}{{.metadata.name}} {{.status.phase}}{{with .metadata.deletionTimestamp}}-ending{{end}} '
held_pods=$held_pods'{{range .status.conditions}}{{if eq .type "Ready"}}{{.status}}{{end}}{{end}}- '
held_pods=$held_pods'{{range .metadata.ownerReferences}}{{.kind}},{{end}}{{"\n"}}{{end}}'
