"""Kubelets and kube-proxy get what hosts.yml says, on three masters: what they do not bear, and what was cut off."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e.harness import (
    MACHINES,
    MASTER,
    WORKER,
    Kubefab,
    all_is_well,
    cut_power,
    eventually,
    kubectl,
    objects,
    on,
    power_on,
)
from tests.proof.drifting import MARKS, configured, own_masters

COVERS = (
    "tests/proof/drifting.py",
    "kubefab/steps/drift.py",
    "kubefab/steps/drift_nodes.py",
    "kubefab/steps/drift_proxy.py",
    "kubefab/steps/marked.py",
    "kubefab/putting_back.py",
    "kubefab/differences.py",
    "scripts/remake-kubelet-config.sh",
    "scripts/upload-configuration.sh",
    "scripts/shared/marks.sh",
    "scripts/shared/rendered.sh",
)


@pytest.fixture(scope="module")
def inv(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubefab]:
    with own_masters(tmp_path_factory.mktemp("drift")) as inv:
        yield inv


CONFIG = "/var/lib/kubelet/config.yaml"


def test_kubelets_have_what_hosts_yml_says_and_what_it_says_no_more_goes(inv: Kubefab) -> None:
    inv("cluster.up").well()
    says = configured(inv.state / "kubelets.yml", KubeletConfiguration={"maxPods": 123})
    assert "without maxPods=123" in inv("--dry", "cluster.up", hosts=says).well().stdout
    inv("cluster.up", hosts=says).well()
    assert [name for name in MACHINES if "maxPods: 123" not in on(name, f"cat {CONFIG}")] == []
    eventually(lambda: {one["status"]["capacity"]["pods"] for one in objects("nodes")} == {"123"})
    assert "nothing to do" in inv("cluster.up", hosts=says).well().stdout
    inv("cluster.up").well()
    assert [name for name in MACHINES if "maxPods" in on(name, f"cat {CONFIG}")] == []
    assert "nothing to do" in inv("cluster.up").well().stdout


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"maxPods": -5}, "(the kubelet does not run): the former one is there again"),
        ({"evictionHard": {"nodefs.available": "99%"}}, "(DiskPressure is True): the former one is there again"),
    ],
)
def test_a_kubelet_that_does_not_bear_its_configuration_has_the_former_one_and_no_other_is_begun(
    inv: Kubefab, bad: dict[str, Any], said: str
) -> None:
    """One that runs and would evict every pod of its node, too."""
    inv("cluster.up").well()
    says = configured(inv.state / "bad-kubelets.yml", KubeletConfiguration=bad)
    before = {name: on(name, f"sha256sum {CONFIG}") for name in MACHINES}
    assert said in inv("cluster.up", hosts=says).badly().stderr
    assert {name: on(name, f"sha256sum {CONFIG}") for name in MACHINES} == before
    all_is_well(inv)
    inv("cluster.up").well()
    kept = kubectl("-n", "kube-system", "get", "configmap", "kubelet-config", "-o", "jsonpath={.data}")
    assert not [text for text in ("-5", "99%") if text in kept]
    assert "nothing to do" in inv("cluster.up").well().stdout
    all_is_well(inv)


FORMER = f"{MARKS}/former/kubelet"
CUT = f"touch {FORMER}.lines; cp -p {CONFIG} {FORMER}.yaml; echo maxPods: -5 >>{CONFIG}; sync"


def test_a_kubelets_configuration_that_was_cut_off_is_taken_back_where_nothing_runs_by_it(inv: Kubefab) -> None:
    """On all masters, so that no API server answers: after a boot each waits for its kubelet."""
    inv("cluster.up").well()
    before = {name: on(name, f"sha256sum {CONFIG}") for name in MACHINES}
    for name in MACHINES:
        on(name, f"mkdir -p {MARKS}/former; {CUT}")
        cut_power(name)
    power_on()
    inv("cluster.up").well()
    assert {name: on(name, f"sha256sum {CONFIG}") for name in MACHINES} == before
    assert [name for name in MACHINES if on(name, f"ls {MARKS}/former 2>/dev/null || true")] == []
    all_is_well(inv)


def test_a_kubelets_configuration_that_was_changed_by_hand_is_left_alone_and_taken_back(inv: Kubefab) -> None:
    inv("cluster.up").well()
    on(WORKER, f"echo 'maxPods: 77' >>{CONFIG}")
    assert "changed by hand: with maxPods=77" in inv("cluster.up").well().stdout
    assert "maxPods: 77" in on(WORKER, f"cat {CONFIG}")
    assert "kubelet: with maxPods=77" in inv("cluster.put-back", "--host", WORKER).badly().stdout
    inv("cluster.put-back", "--host", WORKER, "--yes").well()
    assert "maxPods" not in on(WORKER, f"cat {CONFIG}")
    assert "nothing to do" in inv("cluster.up").well().stdout


def proxies() -> set[str]:
    """kube-proxy's pods."""
    pods = objects("pods", "--namespace=kube-system", "--selector=k8s-app=kube-proxy")
    return {one["metadata"]["uid"] for one in pods}


def proxy_configuration() -> dict[str, Any]:
    place = ("-n", "kube-system", "get", "configmap", "kube-proxy", "-o", r"jsonpath={.data.config\.conf}")
    found: dict[str, Any] = yaml.safe_load(kubectl(*place))
    return found


def test_kube_proxys_configuration_that_was_changed_by_hand_is_left_alone_and_taken_back(inv: Kubefab) -> None:
    """Which kubefab has never changed until then."""
    inv("cluster.up").well()
    before, pods = proxy_configuration(), proxies()
    patch = {"data": {"config.conf": yaml.safe_dump({**before, "configSyncPeriod": "10m0s"})}}
    kubectl("-n", "kube-system", "patch", "configmap", "kube-proxy", "--type=merge", "--patch", json.dumps(patch))
    words = f"configSyncPeriod is 10m0s, not {before['configSyncPeriod']}"
    done = inv("cluster.up").well()
    assert f"changed by hand: {words}" in done.stdout
    assert "nothing to do" in done.stdout
    assert proxies() == pods
    assert f"{MASTER}  - kube-proxy: {words}" in inv("cluster.put-back", "--host", MASTER).badly().stdout
    inv("cluster.put-back", "--host", MASTER, "--yes").well()
    assert proxy_configuration() == before
    eventually(lambda: len(now := proxies()) == len(MACHINES) and not now & pods)
    done = inv("cluster.up").well()
    assert "nothing to do" in done.stdout
    assert "changed by hand" not in done.stdout


def test_kube_proxys_pods_begin_anew_with_what_hosts_yml_says(inv: Kubefab) -> None:
    says = configured(inv.state / "proxy.yml", KubeProxyConfiguration={"metricsBindAddress": "127.0.0.1:10249"})
    before = proxies()
    assert "metricsBindAddress" in inv("--dry", "cluster.up", hosts=says).well().stdout
    inv("cluster.up", hosts=says).well()
    eventually(lambda: not before & proxies())
    assert "nothing to do" in inv("cluster.up", hosts=says).well().stdout
