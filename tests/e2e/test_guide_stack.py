"""The guide's own stack in short: Kubernetes 1.20.2 and Docker on Debian 12. All of it is in tests/proof."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab import guide as parts
from lab.settings import GATEWAY
from tests.proof.suites import ROOT, read

from .harness import (
    MASTER,
    WORKER,
    Done,
    Kubefab,
    coredns_answers,
    fresh,
    hosts_file,
    kubectl,
    nodes,
    on,
    ready_nodes,
)

PAIR = (MASTER, WORKER)
GUIDE = "lab/guide-stack/hosts.yml"
# Docker asks mirrors for Docker Hub's images alone.
POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: tools}}
spec:
  nodeName: {node}
  containers: [{{name: tools, image: "{registry}/lab/tools:1", command: [sleep, "3600"]}}]
"""


@dataclass(frozen=True)
class Story:
    """From machines as new to a cluster with a pod; then its worker is taken out."""

    up: Done
    ready: set[str]
    runtimes: set[str]
    coredns: bool
    address: str
    again: Done
    restarted: Done
    containers: str


def last_proof() -> str:
    row = read((ROOT / "docs/proof.md").read_text()).get("guide_stack")
    return f"its last proof: {row.result} on {row.date}" if row else "it was never proven"


@pytest.fixture(scope="module")
def story(inv: Kubefab) -> Iterator[Story]:
    if not all(part.cached for part in parts.BUILT.values()):
        pytest.skip(f"the guide's Kubernetes is not built here; inv lab.up --stack guide builds it; {last_proof()}")
    fresh(*PAIR, stack="guide")
    guide = Kubefab(hosts_file(inv.state / "guide.yml", *PAIR, like=GUIDE), inv.state)
    up = guide("cluster.up")
    ready, coredns = ready_nodes(), coredns_answers()
    runtimes = {node["status"]["nodeInfo"]["containerRuntimeVersion"] for node in nodes().values()}
    address = runs_a_pod()
    again = guide("cluster.up")
    restarted = guide("restart", "--host", WORKER, "--yes")
    left = on(WORKER, "docker ps --all --quiet; ls /etc/kubernetes 2>/dev/null; true")
    yield Story(up, ready, runtimes, coredns, address, again, restarted, left)
    fresh(*PAIR)


def runs_a_pod() -> str:
    """The address of a pod on the worker that runs, as the pod itself knows the API server's Service."""
    kubectl("apply", "-f", "-", stdin=POD.format(node=WORKER, registry=f"{GATEWAY}:5001"))
    kubectl("wait", "--for=condition=Ready", "pod/tools", "--timeout=180s")
    return kubectl("exec", "tools", "--", "getent", "hosts", "kubernetes.default")


def test_the_guides_stack_comes_up_on_docker(story: Story) -> None:
    story.up.well()
    assert story.ready == set(PAIR)
    assert story.coredns
    assert all(one.startswith("docker://20.10.24") for one in story.runtimes)


def test_a_pod_of_it_finds_names_by_the_clusters_dns(story: Story) -> None:
    assert "10.96.0.1" in story.address


def test_a_second_up_of_it_has_nothing_to_do(story: Story) -> None:
    assert "nothing to do" in story.again.well().stdout


def test_a_restart_of_its_worker_leaves_nothing(story: Story) -> None:
    story.restarted.well()
    assert story.containers == ""
