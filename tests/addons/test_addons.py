"""What becomes of upstream's manifests, beside golden files; which version is meant."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kubefab.addons import ADDONS, Addon
from kubefab.addons.addon import Document
from kubefab.addons.rook import CEPHS, cluster_documents, cluster_mark
from kubefab.facts import ADDON

ROOT = Path(__file__).parent.parent.parent
CAPTURED, PUBLISHED = ROOT / "tests" / "captured", ROOT / "lab" / "published"
UPSTREAM = {
    "metrics-server@0.9.0": CAPTURED / "metrics-server.yml",
    "local-path@0.0.30": CAPTURED / "local-path.yml",
    **{
        f"{name}@{version}": PUBLISHED / "raw.githubusercontent.com" / path
        for name, version, path in (
            ("headlamp", "0.45.0", "kubernetes-sigs/headlamp/v0.45.0/kubernetes-headlamp.yaml"),
            ("kubernetes-dashboard", "2.7.0", "kubernetes/dashboard/v2.7.0/aio/deploy/recommended.yaml"),
            ("kubernetes-dashboard", "2.0.0", "kubernetes/dashboard/v2.0.0/aio/deploy/recommended.yaml"),
        )
    },
}

OLD_ROOK = PUBLISHED / "raw.githubusercontent.com/rook/rook/v1.3.11/cluster/examples/kubernetes/ceph"
ROOKS = {
    "rook@1.20.6": [CAPTURED / "rook-operator.yaml"],
    "rook@1.3.11": [OLD_ROOK / "common.yaml", OLD_ROOK / "operator.yaml"],
}
# By Ceph-CSI's operator, for those alone who set deployCsiAddons.
NEVER_STARTED = {"quay.io/csiaddons/k8s-sidecar:v0.14.0"}


def documents(asked: str) -> list[Document]:
    name, _, wanted = asked.partition("@")
    version = ADDONS[name].version("1.37", wanted)
    assert version
    texts = [file.read_text() for file in ROOKS.get(asked) or [UPSTREAM[asked]]]
    return ADDONS[name].documents(texts, ADDONS[name].mark(version))


def images(document: Document) -> list[str]:
    if document["kind"] not in ("Deployment", "DaemonSet"):
        return []
    return [one["image"] for one in document["spec"]["template"]["spec"]["containers"]]


@pytest.mark.parametrize("asked", UPSTREAM)
def test_what_is_applied_is_the_golden_file(asked: str, golden: Callable[[str, str], None]) -> None:
    golden(f"addons/{asked}.yaml", yaml.safe_dump_all(documents(asked), sort_keys=False))


@pytest.mark.parametrize("asked", UPSTREAM)
def test_the_manifest_is_the_one_that_is_pinned(asked: str) -> None:
    name, _, wanted = asked.partition("@")
    version = ADDONS[name].version("1.37", wanted)
    assert version
    (manifest,) = version.manifests
    assert hashlib.sha256(UPSTREAM[asked].read_bytes()).hexdigest() == manifest.sha256


@pytest.mark.parametrize("asked", UPSTREAM)
def test_what_is_applied_last_carries_the_mark_and_it_alone(asked: str) -> None:
    found = documents(asked)
    marks = [one["metadata"].get("annotations", {}).get(ADDON) for one in found]
    assert marks == [None] * (len(found) - 1) + [asked.replace("@", " ")]


@pytest.mark.parametrize("asked", UPSTREAM)
def test_every_image_has_a_tag_that_stays(asked: str) -> None:
    found = [image for document in documents(asked) for image in images(document)]
    assert found
    assert [image for image in found if ":" not in image or image.endswith(":latest")] == []


@pytest.mark.parametrize("asked", [*UPSTREAM, *ROOKS])
def test_no_image_is_named_anywhere_that_is_not_known_beforehand(asked: str) -> None:
    """Also in a ConfigMap, whose text is some operator's or another pod's."""
    name, _, wanted = asked.partition("@")
    (version,) = (one for one in ADDONS[name].versions if one.version == wanted)
    named = set(re.findall(r"[\w.-]+(?:/[\w.-]+)+:v?\d[\w.-]*", yaml.safe_dump_all(documents(asked))))
    known = {image for document in documents(asked) for image in images(document)}
    assert named - known - NEVER_STARTED <= set(version.images)


@pytest.mark.parametrize("asked", UPSTREAM)
def test_nothing_of_it_runs_on_a_master(asked: str) -> None:
    pods = [one["spec"]["template"]["spec"] for one in documents(asked) if images(one)]
    assert [pod["tolerations"] for pod in pods if "tolerations" in pod] == []


@pytest.mark.parametrize(
    ("addon", "minor", "wanted", "found"),
    [
        ("metrics-server", "1.37", "", "0.9.0"),
        ("metrics-server", "1.33", "", None),
        ("local-path", "1.37", "", "0.0.37"),
        ("local-path", "1.37", "0.0.30", "0.0.30"),
        ("kubernetes-dashboard", "1.24", "", "2.7.0"),
        # Documented for none so new: the newest that reaches it, with a warning.
        ("kubernetes-dashboard", "1.37", "", "2.7.0"),
        ("kubernetes-dashboard", "1.18", "", "2.0.0"),
        ("rook", "1.37", "", "1.20.6"),
        ("rook", "1.22", "", "1.20.6"),
        ("rook", "1.21", "", "1.3.11"),
        ("rook", "1.17", "", "1.3.11"),
    ],
)
def test_the_version_goes_by_the_minor(addon: str, minor: str, wanted: str, found: str | None) -> None:
    version = ADDONS[addon].version(minor, wanted)
    assert (version and version.version) == found


@pytest.mark.parametrize("addon", ADDONS.values(), ids=lambda addon: addon.name)
def test_every_manifest_is_pinned(addon: Addon) -> None:
    for version in addon.versions:
        files = (*version.manifests, *version.apart)
        assert all(one.url.startswith("https://") and len(one.sha256) == 64 for one in files)


@pytest.mark.parametrize(
    ("version", "folder", "prefix"), [("1.20.6", CAPTURED, "rook-"), ("1.3.11", OLD_ROOK, "")], ids=["1.20.6", "1.3.11"]
)
@pytest.mark.parametrize("nodes", [3, 2])
def test_a_ceph_cluster_is_made_of_the_named_disks_and_no_other(
    version: str, folder: Path, prefix: str, nodes: int, golden: Callable[[str, str], None]
) -> None:
    used = CEPHS[version].manifest(nodes)
    name = used.url.rpartition("/")[2]
    text = (folder / f"{prefix}{name}").read_bytes()
    assert hashlib.sha256(text).hexdigest() == used.sha256
    disks = {"client": ["/dev/sdb"], "client2": ["/dev/sdb", "/dev/disk/by-id/ata-1"]}
    documents = cluster_documents(text.decode(), CEPHS[version], disks, cluster_mark(version, used, disks))
    golden(f"addons/rook@{version}-{name}", yaml.safe_dump_all(documents, sort_keys=False))


def test_an_old_rooks_files_are_those_that_are_pinned() -> None:
    (version,) = (one for one in ADDONS["rook"].versions if one.version == "1.3.11")
    sums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in ROOKS["rook@1.3.11"]]
    assert sums == [one.sha256 for one in version.manifests]


@pytest.mark.parametrize("asked", ["kubernetes-dashboard@2.0.0", "kubernetes-dashboard@2.7.0", "rook@1.3.11"])
def test_what_is_for_old_api_servers_names_every_ports_protocol(asked: str) -> None:
    specs = [one["spec"] for one in documents(asked) if one["kind"] == "Service"]
    specs += [pod for one in documents(asked) if images(one) for pod in one["spec"]["template"]["spec"]["containers"]]
    assert [port for spec in specs for port in spec.get("ports", ()) if "protocol" not in port] == []


def test_rooks_second_provisioner_does_not_wait_for_a_second_node() -> None:
    operator = (CAPTURED / "rook-operator.yaml").read_text()
    version = ADDONS["rook"].versions[0]
    documents = ADDONS["rook"].documents([operator], ADDONS["rook"].mark(version))
    (found,) = [one for one in documents if one["kind"] == "OperatorConfig"]
    assert found["spec"]["driverSpecDefaults"]["controllerPlugin"]["replicas"] == 1
