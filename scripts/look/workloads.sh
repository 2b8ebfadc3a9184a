# shellcheck shell=sh
# What runs in the cluster, by a master's word, for who is about to disturb it: how many pods each workload wants, and how
# many are ready; a static pod is one by itself, and tells its images. Asked for by those alone who empty nodes.
[ -e /etc/kubernetes/admin.conf ] && [ -n "$NODES" ] || exit 0
workload='workload {{.kind}} {{.metadata.namespace}}/{{.metadata.name}} '
ask_api get daemonsets.apps --all-namespaces -o "go-template={{range .items}}$workload\
{{.status.desiredNumberScheduled}} {{or .status.numberReady 0}}{{\"\\n\"}}{{end}}" || exit 0
ask_api get deployments.apps,statefulsets.apps --all-namespaces -o "go-template={{range .items}}$workload\
{{.spec.replicas}} {{or .status.readyReplicas 0}}{{\"\\n\"}}{{end}}" || exit 0
# shellcheck disable=SC2016 # names of a template
ready='{{$ready := 0}}{{range .status.conditions}}{{if and (eq .type "Ready") (eq .status "True")}}{{$ready = 1}}{{end}}{{end}}'
ask_api get pods --namespace kube-system --selector tier=control-plane -o "go-template={{range .items}}$ready${workload}\
1 {{\$ready}}{{range .spec.containers}} {{.image}}{{end}}{{\"\\n\"}}{{end}}" || exit 0
fact "workloads_told yes"
