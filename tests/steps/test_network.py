"""The pod network, from flannel's own manifest (tests/captured/kube-flannel.yml: an extract of it)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubefab import downloads, kubeadm
from kubefab.facts import ADDON, OBJECTS, AddonObject, ClusterFacts, Facts, Workload
from kubefab.releases import release
from kubefab.step import MISSING, NO_CLUSTER
from kubefab.steps import network
from tests.facts import known, with_
from tests.fakes import HOSTS, cluster, looked, step, world

MANIFEST = (Path(__file__).parent.parent / "captured" / "kube-flannel.yml").read_text()
ANSWERS, DNS = "flannel answers", "CoreDNS is applied"
SUBNET = "10.244.0.0/16"
FLANNEL = release("1.37.2").flannel
MARK = f"{FLANNEL.version} {SUBNET}"
WITH_INTERFACES = f"{MARK} --iface=10.250.0.10 --iface=10.250.0.11"


def facts(annotations: Mapping[str, str] | None, objects: int = 1) -> Facts:
    daemons = {}
    if annotations is not None:
        daemons[network.DAEMON_SET] = Workload(annotations={OBJECTS: "1", **annotations})
    there = tuple(AddonObject("flannel", f"serviceaccount/{number}") for number in range(objects))
    return known(cluster=ClusterFacts(workloads=daemons), addon_objects=there, addons_told=True)


def gap(found: Facts, hosts: str = HOSTS) -> str | None:
    made = cluster(hosts)
    return step(network.steps(made, made.founder), "flannel is applied").gap(found)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (known(), NO_CLUSTER),
        (facts(None), MISSING),
        (facts({network.ANNOTATION: MARK}), None),
        (facts({network.ANNOTATION: MARK}, objects=0), "0 of its 1 objects are there"),
        (facts({}), "one that was applied by hand"),
        (facts({network.ANNOTATION: "0.27.0 10.244.0.0/16"}), "0.27.0 10.244.0.0/16"),
        (facts({network.ANNOTATION: f"{FLANNEL.version} 10.0.0.0/8"}), f"{FLANNEL.version} 10.0.0.0/8"),
        # Once told which interfaces to use it stays so, though this run did not look at every host.
        (facts({network.ANNOTATION: WITH_INTERFACES}), None),
    ],
)
def test_the_mark_of_what_was_applied_is_what_it_should_be(found: Facts, told: str | None) -> None:
    assert gap(found) == told


def test_it_is_begun_by_the_speaker_alone_and_waited_for_by_nobody_yet() -> None:
    """While flannel is started on the first master the others join."""
    made = cluster(HOSTS)
    begun = {name: [one.title for one in network.begun(made, host)] for name, host in made.hosts.items()}
    assert begun == {name: ["flannel is applied"] if name == made.speaker.name else [] for name in made.hosts}


def test_interfaces_are_named_once_a_host_has_several() -> None:
    two = {"10.0.2.15": "eth0", "10.250.0.10": "eth1"}
    assert gap(with_(facts({network.ANNOTATION: MARK}), addresses=two)) == MARK
    assert gap(with_(facts({network.ANNOTATION: WITH_INTERFACES}), addresses=two)) is None


def test_a_machine_with_several_interfaces_that_joins_has_its_master_name_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "pinned", lambda url, digest: MANIFEST.encode())
    made = looked({"client": {"system": "address 10.0.2.15 eth0\naddress 10.250.0.11 eth1"}})
    (one,) = network.flannel_applied(made, made.hosts["client"])
    others = made.all_facts()
    marks = [with_(facts({network.ANNOTATION: mark}), others=others) for mark in (MARK, WITH_INTERFACES)]
    assert [one.gap(found) for found in marks] == [MARK, None]
    assert one.close
    one.close(made.hosts["client"])
    assert world(made, "client").ran == []
    assert WITH_INTERFACES in world(made, "manager").payloads["kubectl.sh"]


def test_a_machine_that_joins_is_among_the_interfaces_that_are_named() -> None:
    made = looked({"client": {"system": "address 10.250.0.11 eth0"}})
    (one,) = network.flannel_applied(made, made.hosts["client"])
    before = f"{MARK} --iface=10.250.0.10"
    assert one.gap(facts({network.ANNOTATION: before})) == before


@pytest.mark.parametrize(
    ("addresses", "several"),
    [
        ({}, False),
        ({"10.0.0.1": "eth0"}, False),
        ({"10.0.0.1": "eth0", "10.0.0.2": "eth0"}, True),  # it would take the first, and that may be another
        ({"10.0.0.1": "eth0", "10.244.0.1": "cni0", "172.17.0.1": "docker0", "10.88.0.1": "podman1"}, False),
        ({"10.0.0.1": "eth0", "192.168.0.1": "wlan0"}, True),
    ],
)
def test_interfaces_that_others_make_are_not_counted(addresses: dict[str, str], several: bool) -> None:
    assert network.several(known(addresses=addresses)) is several


def edited(mark: str) -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all(network.edited(MANIFEST, "10.0.0.0/8", mark, str))}


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["DaemonSet"]["spec"]["template"]["spec"]["containers"][0]  # type: ignore[no-any-return]


def test_the_pod_subnet_is_ours_and_all_else_in_the_manifest_is_flannels() -> None:
    ours, theirs = edited(MARK), {one["kind"]: one for one in yaml.safe_load_all(MANIFEST)}
    found = json.loads(ours["ConfigMap"]["data"].pop("net-conf.json"))
    assert found == {"Network": "10.0.0.0/8", "EnableNFTables": False, "Backend": {"Type": "vxlan"}}
    theirs["ConfigMap"]["data"].pop("net-conf.json")
    assert ours["DaemonSet"]["metadata"].pop("annotations") == {network.ANNOTATION: MARK, OBJECTS: "3"}
    assert {one["metadata"]["labels"].pop(ADDON) for one in ours.values()} == {"flannel"}
    container(theirs)["readinessProbe"].update(initialDelaySeconds=0, periodSeconds=2)
    ours["DaemonSet"]["spec"].pop("updateStrategy")
    assert ours == theirs


def test_a_node_that_is_away_keeps_nothing_from_the_others() -> None:
    strategy = edited(MARK)["DaemonSet"]["spec"]["updateStrategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}}


def test_images_are_named_as_the_runtime_wants_them() -> None:
    text = network.edited(MANIFEST, SUBNET, MARK, lambda name: name.replace("ghcr.io", "near:5000"))
    pod = next(one for one in yaml.safe_load_all(text) if one["kind"] == "DaemonSet")["spec"]["template"]["spec"]
    assert {one["image"].split("/")[0] for one in (*pod["initContainers"], *pod["containers"])} == {"near:5000"}
    assert network.mark("1", SUBNET, "near:5000", ("10.0.0.1",)) == f"1 {SUBNET} near:5000 --iface=10.0.0.1"


def test_interfaces_become_arguments_of_flanneld() -> None:
    assert container(edited(WITH_INTERFACES))["args"] == [
        "--ip-masq",
        "--kube-subnet-mgr",
        "--healthz-port=8081",
        "--iface=10.250.0.10",
        "--iface=10.250.0.11",
    ]


def test_the_pinned_manifest_is_applied_by_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def pinned(url: str, digest: str) -> bytes:
        asked.append((url, digest))
        return MANIFEST.encode()

    monkeypatch.setattr(downloads, "pinned", pinned)
    made = looked({"manager": {}}, f"{HOSTS}mirrors: {{https://raw.githubusercontent.com/: http://near/raw/}}\n")
    close = step(network.steps(made, made.founder), "flannel is applied").close
    assert close
    close(made.founder)
    url = f"http://near/raw/flannel-io/flannel/v{FLANNEL.version}/Documentation/kube-flannel.yml"
    assert asked == [(url, FLANNEL.sha256)]
    assert world(made, "manager").ran == [
        "kubectl.sh get configmap kube-flannel-cfg --namespace kube-flannel --ignore-not-found "
        r"--output jsonpath={.data.net-conf\.json}",
        "kubectl.sh apply --server-side --force-conflicts --field-manager=kubefab -f -",
    ]
    assert MARK in world(made, "manager").payloads["kubectl.sh"]


@pytest.mark.parametrize(
    ("there", "applied"),
    [
        ('{"Network": "10.9.0.0/16", "Backend": {"Type": "wireguard"}}', {"Type": "wireguard"}),
        ("", {"Type": "vxlan"}),  # somebody has deleted it
        ("{,", {"Type": "vxlan"}),  # flanneld would not start by it
        ("[]", {"Type": "vxlan"}),
    ],
)
def test_how_pods_packets_travel_is_somebodys_choice(
    monkeypatch: pytest.MonkeyPatch, there: str, applied: dict[str, str]
) -> None:
    """What went encrypted, say, would go in the clear, by another port, from the next `up` on."""
    monkeypatch.setattr(downloads, "pinned", lambda url, digest: MANIFEST.encode())
    made = looked({"manager": {}})
    workload = {network.DAEMON_SET: Workload(annotations={network.ANNOTATION: f"0.27.0 {SUBNET}"})}
    monkeypatch.setattr(made, "facts", lambda _: known(cluster=ClusterFacts(workloads=workload)))
    world(made, "manager").answers["kubectl.sh"] = there
    close = step(network.flannel_applied(made, made.founder), network.APPLIED).close
    assert close
    close(made.founder)
    documents = yaml.safe_load_all(world(made, "manager").payloads["kubectl.sh"])
    (told,) = [one["data"]["net-conf.json"] for one in documents if one["kind"] == "ConfigMap"]
    assert json.loads(told) == {"Network": SUBNET, "EnableNFTables": False, "Backend": applied}


def dns(workloads: dict[str, Workload]) -> list[str | None]:
    made = looked({})
    live = known(cluster=ClusterFacts(workloads=workloads))
    return [step(network.steps(made, made.founder), title).gap(live) for title in (ANSWERS, DNS)]


@pytest.mark.parametrize(
    ("workloads", "gaps"),
    [
        ({}, ["0 of 1 pods answer", MISSING]),
        ({network.DAEMON_SET: Workload(1, 0)}, ["0 of 1 pods answer", MISSING]),
        ({network.DAEMON_SET: Workload(2, 1)}, [None, MISSING]),  # the other node is not Ready yet
        ({network.COREDNS: Workload(2, 0)}, [None, None]),
    ],
)
def test_dns_comes_when_a_pod_can_have_a_network(workloads: dict[str, Workload], gaps: list[str | None]) -> None:
    assert dns(workloads) == gaps


def test_dns_is_applied_from_kubeadms_documents() -> None:
    made = looked({})
    close = step(network.steps(made, made.founder), DNS).close
    assert close
    close(made.founder)
    documents = kubeadm.dns_documents(made.inventory, made.founder.wanted, network.DNS_PATCHES)
    assert world(made, "manager").payloads == {"apply-dns.sh": documents}


def test_the_network_is_the_masters_to_apply() -> None:
    made = looked({})
    assert network.steps(made, made.hosts["client"]) == []
