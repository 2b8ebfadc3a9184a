"""Headlamp: the dashboard of today's clusters, named by Kubernetes' SIG UI as the successor of the old one."""

from collections.abc import Iterator

from kubefab.addons.addon import RAW, Addon, Document, Manifest, Page, Version, admin, container

VERSION = "0.45.0"
OFF = ("HEADLAMP_CONFIG_TRACING_ENABLED", "HEADLAMP_CONFIG_METRICS_ENABLED")


def edit(document: Document) -> Iterator[Document]:
    if document["kind"] == "Secret":
        return  # a token for ever, of an account that the file does not make
    if document["kind"] == "Deployment":
        headlamp = container(document)
        headlamp["image"] = f"ghcr.io/headlamp-k8s/headlamp:v{VERSION}"  # published as `latest`
        for variable in headlamp["env"]:
            if variable["name"] in OFF:  # they would be sent to a collector that is not there
                variable["value"] = "false"
    yield document


HEADLAMP = Addon(
    name="headlamp",
    versions=(
        Version(
            VERSION,
            (
                Manifest(
                    f"{RAW}/kubernetes-sigs/headlamp/v{VERSION}/kubernetes-headlamp.yaml",
                    "9a893b6ce1f14660f76c5d79848e64979944125406e762f76278143cd2b863a2",
                ),
            ),
            first="1.24",
        ),
    ),
    workload="kube-system/headlamp",
    edit=edit,
    extra=admin("kube-system"),
    page=Page("kube-system", "headlamp", 80),
)
