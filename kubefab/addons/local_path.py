"""local-path storage: a volume is a directory on the node that its pod runs on."""

from collections.abc import Iterator

from kubefab.addons.addon import RAW, Addon, Document, Manifest, Version

BUSYBOX = "docker.io/library/busybox:1.37.0"


def edit(document: Document) -> Iterator[Document]:
    if document["kind"] == "ConfigMap":
        # Upstream's pod that makes directories floats: an image without a tag.
        lines = document["data"]["helperPod.yaml"].splitlines()
        pinned = [f"{line.partition('image:')[0]}image: {BUSYBOX}" if "image:" in line else line for line in lines]
        document["data"]["helperPod.yaml"] = "\n".join(pinned) + "\n"
    yield document


def version(number: str, sha256: str) -> Version:
    path = f"rancher/local-path-provisioner/v{number}/deploy/local-path-storage.yaml"
    return Version(number, (Manifest(f"{RAW}/{path}", sha256),), first="1.24", images=(BUSYBOX,))


LOCAL_PATH = Addon(
    name="local-path",
    versions=(
        version("0.0.37", "9781b39c24f3f651bd6d6e41b561e04e4904bbdb6d4f8c7a6009df3a702dcd65"),
        version("0.0.30", "fe682186b00400fe7e2b72bae16f63e47a56a6dcc677938c6642139ef670045e"),
    ),
    workload="local-path-storage/local-path-provisioner",
    edit=edit,
    storage_class="local-path",
    theirs=("local-path-config", "config.json"),  # where volumes lie, on each node
)
