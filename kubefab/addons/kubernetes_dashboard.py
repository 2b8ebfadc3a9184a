"""The Kubernetes Dashboard, archived in January 2026: for those who ask for it."""

from collections.abc import Iterator

from kubefab.addons.addon import RAW, Addon, Document, Manifest, Page, Version, admin, container

NAMESPACE = "kubernetes-dashboard"


def edit(document: Document) -> Iterator[Document]:
    if document["kind"] == "Service":
        # What upstream leaves out, API servers before 1.21 miss: kubernetes-sigs/structured-merge-diff#183.
        for port in document["spec"]["ports"]:
            port.setdefault("protocol", "TCP")
    if document["kind"] == "Deployment":
        # Off the master, as upstream's own comment on these lines says.
        document["spec"]["template"]["spec"].pop("tolerations", None)
        container(document)["imagePullPolicy"] = "IfNotPresent"  # its tag never moves
    yield document


def version(number: str, sha256: str, first: str, last: str) -> Version:
    url = f"{RAW}/kubernetes/dashboard/v{number}/aio/deploy/recommended.yaml"
    return Version(number, (Manifest(url, sha256),), first, last)


KUBERNETES_DASHBOARD = Addon(
    name="kubernetes-dashboard",
    versions=(
        version("2.7.0", "943ae40251f1ba64ef012c53271bf6766d1883dd024093e854567b56443764b8", "1.19", "1.25"),
        version("2.0.0", "d8b96dfa27da511d5116fc3583281dd1da709c3c6e07b033e4f3424bc2ab64c8", "1.15", "1.18"),
    ),
    workload="kubernetes-dashboard/kubernetes-dashboard",
    edit=edit,
    extra=admin(NAMESPACE),
    page=Page(NAMESPACE, "kubernetes-dashboard", 443, "https"),
)
