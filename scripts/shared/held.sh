# shellcheck shell=sh
# held ASK NODE: the pods there whose eviction a budget forbids now, "NAMESPACE/POD BUDGET" a line; of all nodes where
# NODE is empty. ASK: as_admin, or a wrapper that limits it. The API server itself matches budgets and pods. False where
# it does not answer.
# Like the eviction API (pkg/registry/core/pod/storage/eviction.go), this passes over pods that do not run or already
# end, and those not Ready that the budget lets go; also over pods that no drain takes. That API refuses a pod with
# several budgets, whatever these allow: "NAMESPACE/POD BUDGET,BUDGET". So all budgets of such a namespace are asked.
held() {
    budgets=$("$1" get poddisruptionbudgets --all-namespaces -o "go-template=$held_budgets") || return 1
    about=$(printf '%s\n' "$budgets" | awk '
        NF { line[NR] = $0; space[NR] = $1; none[NR] = $6 !~ /^[1-9]/; count[$1]++ }
        END { for (n = 1; n <= NR; n++) if (none[n] || count[space[n]] > 1) print line[n] }')
    [ -n "$about" ] || return 0
    found=$(printf '%s\n' "$about" | while read -r space budget policy healthy wanted allowed selector; do
        pods=$("$1" get pods --namespace "$space" --selector "${selector%,}" \
            --field-selector "spec.nodeName${2:+=}${2:-!=}" -o "go-template=$held_pods") || exit 1
        least=True
        if [ "$policy" != AlwaysAllow ] && { [ "$wanted" = 0 ] || [ "$healthy" -lt "$wanted" ]; }; then least=; fi
        [ -z "$pods" ] || printf '%s\n' "$pods" |
            awk -v space="$space" -v budget="$budget" -v least="$least" -v allowed="$allowed" '
                $2 == "Running" && $4 !~ /DaemonSet|Node/ {
                    print space "/" $1, budget, (allowed !~ /^[1-9]/ && $3 ~ "^" least ? "held" : "")
                }'
    done) || return 1
    printf '%s\n' "$found" | awk '
        NF && !($1 in budgets) { pod[++pods] = $1 }
        NF { budgets[$1] = budgets[$1] (budgets[$1] ? "," : "") $2; held[$1] = held[$1] $3 }
        END { for (n = 1; n <= pods; n++) if (held[pod[n]] || budgets[pod[n]] ~ /,/) print pod[n], budgets[pod[n]] }'
}
# shellcheck disable=SC2016 # names of a template
held_values='({{range $i, $v := .values}}{{if $i}},{{end}}{{$v}}{{end}}),'
# A budget without a selector matches no pod; one with an empty selector all pods of its namespace.
held_budgets='{{range .items}}{{if ne (printf "%v" .spec.selector) "<nil>"}}'
held_budgets=$held_budgets'{{.metadata.namespace}} {{.metadata.name}} {{or .spec.unhealthyPodEvictionPolicy "-"}} '
held_budgets=$held_budgets'{{.status.currentHealthy}} {{.status.desiredHealthy}} {{.status.disruptionsAllowed}} '
# shellcheck disable=SC2016
held_budgets=$held_budgets'{{range $k, $v := .spec.selector.matchLabels}}{{$k}}={{$v}},{{end}}{{range .spec.selector.matchExpressions}}'
held_budgets=$held_budgets'{{if eq .operator "In"}}{{.key}} in '$held_values'{{else if eq .operator "NotIn"}}{{.key}} notin '$held_values
held_budgets=$held_budgets'{{else if eq .operator "Exists"}}{{.key}},{{else}}!{{.key}},{{end}}{{end}}{{"\n"}}{{end}}{{end}}'
held_pods='{{range .items}}{{.metadata.name}} {{.status.phase}}{{with .metadata.deletionTimestamp}}-ending{{end}} '
held_pods=$held_pods'{{range .status.conditions}}{{if eq .type "Ready"}}{{.status}}{{end}}{{end}}- '
held_pods=$held_pods'{{range .metadata.ownerReferences}}{{.kind}},{{end}}{{"\n"}}{{end}}'
