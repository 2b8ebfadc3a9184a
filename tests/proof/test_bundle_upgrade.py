"""A cluster that reaches nothing comes from 1.37.1 to 1.37.2 by another bundle, without what is not whole anyway."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.e2e.harness import (
    LONGEST,
    MASTER,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    cut_off,
    fresh,
    hosts_file,
    kubectl,
    nodes,
    objects,
    power_on,
    untouched,
)

from .upgrades import AFTER, is_upgraded, kubelets

COVERS = (
    "kubefab/bundle.py",
    "kubefab/steps/bundle.py",
    "kubefab/carry.py",
    "kubefab/upgrading.py",
    "kubefab/steps/upgrade*.py",
    "scripts/pack-packages.sh",
    "scripts/use-bundle.sh",
    "scripts/fetch-kubernetes.sh",
    "files/etc/containerd/kubefab-bundle.d/*",
)
BEFORE = "1.37.1"
PAIR = (MASTER, WORKER)
# Nobody brings its image here: it never has the pod that it wants.
NEVER_WHOLE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: never-whole}
spec:
  selector: {matchLabels: {app: never-whole}}
  template:
    metadata: {labels: {app: never-whole}}
    spec: {containers: [{name: absent, image: "registry.invalid/absent:1"}]}
"""
STOPPED = "every workload has all of its pods before a node goes: Deployment default/never-whole: 0 of 1 pods are ready"


@dataclass(frozen=True)
class Story:
    inv: Kubefab
    old_bundle: Done
    stopped: bool
    between: dict[str, str]
    plan: Done
    upgraded: Done


@pytest.fixture(scope="module")
def inv(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubefab]:
    """The third machine makes both bundles; the other two have nothing but what a bundle brings."""
    folder = tmp_path_factory.mktemp("bundle-upgrade")
    power_on("--kubernetes", BEFORE)
    inv = Kubefab(folder / "hosts.yml", folder)
    for version in (BEFORE, AFTER):
        fresh(SPARE)
        builder = hosts_file(folder / "builder.yml", SPARE, *PAIR, cluster={"kubernetes": version})
        inv("bundle.make", "--host", SPARE, "--output", str(folder / bundle(version)), hosts=builder).well()
    fresh(*PAIR)
    for host in PAIR:
        cut_off(host)
    says(inv.hosts, BEFORE, BEFORE)
    yield inv
    fresh(*PAIR, SPARE)
    for version in (BEFORE, AFTER):
        (folder / bundle(version)).unlink()


def bundle(version: str) -> str:
    return f"{version}.bundle"


def says(path: Path, version: str, of: str) -> None:
    """A hosts.yml of this version, with the bundle `of` one, and no other source."""
    document = yaml.safe_load(hosts_file(path, *PAIR, cluster={"kubernetes": version}).read_text())
    del document["mirrors"]
    path.write_text(yaml.safe_dump(document | {"bundle": bundle(of)}))


@pytest.fixture(scope="module")
def story(inv: Kubefab) -> Story:
    inv("cluster.up").well()
    says(inv.hosts, AFTER, BEFORE)
    with untouched(*PAIR):
        old_bundle = inv("cluster.upgrade", "--yes")
    says(inv.hosts, AFTER, AFTER)
    kubectl("apply", "-f", "-", stdin=NEVER_WHOLE)
    with inv.started("cluster.upgrade", "--yes") as run:
        stopped = run.says(STOPPED, LONGEST)
        between = kubelets(nodes())
    with untouched(*PAIR):
        plan = inv("--dry", "cluster.upgrade", "--ignore", "default/never-whole")
    upgraded = inv("cluster.upgrade", "--ignore", "default/never-whole", "--yes")
    kubectl("delete", "deployment/never-whole")
    return Story(inv, old_bundle, stopped, between, plan, upgraded)


def test_the_bundle_of_the_version_before_is_refused_before_any_change(story: Story) -> None:
    said = story.old_bundle.badly().stderr
    assert BEFORE in said
    assert AFTER in said
    assert "bundle" in said


def test_a_workload_that_is_not_whole_stops_it_before_the_first_worker_and_is_named(story: Story) -> None:
    assert story.stopped
    assert story.between == {MASTER: f"v{AFTER}", WORKER: f"v{BEFORE}"}


def test_a_plan_can_leave_it_out(story: Story) -> None:
    assert f"-> {AFTER}" in story.plan.well().stdout


def test_all_comes_out_of_the_new_bundle(story: Story) -> None:
    story.upgraded.well()
    is_upgraded(story.inv, [MASTER], [WORKER])
    pulled = objects("events", "-A", "--field-selector=reason=Pulling")
    assert [one["message"] for one in pulled if "registry.invalid" not in one["message"]] == []
