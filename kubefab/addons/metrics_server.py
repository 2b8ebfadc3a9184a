"""metrics-server: `kubectl top`, and what a HorizontalPodAutoscaler goes by."""

from collections.abc import Iterator

from kubefab.addons.addon import Addon, Document, Manifest, Version, container


def edit(document: Document) -> Iterator[Document]:
    if document["kind"] == "Deployment":
        # kubeadm's kubelets sign their own serving certificates: kubernetes-sigs/metrics-server#196
        container(document)["args"].append("--kubelet-insecure-tls")
    yield document


METRICS_SERVER = Addon(
    name="metrics-server",
    versions=(
        Version(
            "0.9.0",
            (
                Manifest(
                    "https://github.com/kubernetes-sigs/metrics-server/releases/download/v0.9.0/components.yaml",
                    "1cec29a5267809306a2c6ec74a3e449abbb705b4a8beed0c8a1963910f72c79b",
                ),
            ),
            first="1.34",
        ),
    ),
    workload="kube-system/metrics-server",
    edit=edit,
    apis=("v1beta1.metrics.k8s.io",),
)
