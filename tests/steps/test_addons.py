"""Add-ons as states: applied by their mark, answering, and gone."""

import json
from pathlib import Path
from typing import Any

import pytest

from kubefab import downloads
from kubefab.addons import ADDONS, addon
from kubefab.addons.rook import CEPHS
from kubefab.errors import Silent
from kubefab.facts import ADDON, OBJECTS, AddonObject, ClusterFacts, Facts, Node, Workload
from kubefab.releases import CONTROL_PLANE, MASTER
from kubefab.step import MISSING, NO_CLUSTER, Step
from kubefab.steps import addons, network
from tests.facts import known
from tests.fakes import HOSTS, cluster, inventory, step, world

CAPTURED = Path(__file__).parent.parent / "captured"
NAMED = HOSTS.replace("1.37.2\n", "1.37.2\n  addons: [flannel, metrics-server, local-path@0.0.30]\n")
SERVER = "kube-system/metrics-server"
API = "v1beta1.metrics.k8s.io"


def steps(hosts: str = NAMED) -> list[Step]:
    made = cluster(hosts)
    return addons.steps(made, made.founder)


EDITION = ADDONS["metrics-server"].edition
THERE = (AddonObject("metrics-server", "service/metrics-server"), AddonObject("metrics-server", "deployment.apps/x"))


def live(
    mark: str | None = None,
    apis: dict[str, str] | None = None,
    taint: str = "",
    objects: str = "2",
    effect: str = "NoSchedule",
    **said: Any,
) -> Facts:
    workload = Workload(1, 1, annotations={} if mark is None else {ADDON: mark, OBJECTS: objects})
    taints = {taint: effect} if taint else {}
    nodes = {"manager": Node("manager", taints={CONTROL_PLANE: "NoSchedule"}), "client": Node("client", taints=taints)}
    there = ClusterFacts(nodes=nodes, workloads={SERVER: workload}, apis=apis or {})
    return known(cluster=there, **{"addon_objects": THERE, "addons_told": True, **said})


def test_those_that_hosts_yml_names_are_states_of_the_master_alone() -> None:
    made = cluster(NAMED)
    titles = [one.title for one in steps()]
    assert [title for title in titles if "applied" in title] == ["metrics-server is applied", "local-path is applied"]
    assert addons.steps(made, made.hosts["client"]) == []
    assert steps(HOSTS) == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (known(), NO_CLUSTER),
        (known(cluster=ClusterFacts()), MISSING),
        (live(f"metrics-server 0.9.0 {EDITION}"), None),
        (live(f"metrics-server 0.9.0 {EDITION}", addon_objects=THERE[1:]), "1 of its 2 objects are there"),
        (live(f"metrics-server 0.9.0 {EDITION}", objects=""), "2 of its uncounted objects are there"),
        (live(f"metrics-server 0.9.0 {EDITION}", objects="1"), None),  # of another version there may have been more
        (live("metrics-server 0.9.0 0123456789ab"), "metrics-server 0.9.0 0123456789ab"),
        (live(), "one that was applied by hand"),
        (live("metrics-server 0.8.0"), "metrics-server 0.8.0"),
    ],
)
def test_one_look_tells_whether_all_of_it_is_applied(found: Facts, told: str | None) -> None:
    assert step(steps(), "metrics-server is applied").gap(found) == told


def test_what_the_api_server_does_not_say_is_not_taken_for_deleted() -> None:
    found = live(f"metrics-server 0.9.0 {EDITION}", addon_objects=(), addons_told=False)
    with pytest.raises(Silent):
        step(steps(), "metrics-server is applied").gap(found)


@pytest.mark.parametrize(
    ("taint", "effect", "told"),
    [
        ("", "", None),
        (MASTER, "NoSchedule", "every node is a master with kubeadm's taint"),
        (MASTER, "PreferNoSchedule", None),
        ("gpu", "NoSchedule", None),
    ],
)
def test_a_node_that_takes_no_pods_is_told_before_anything_waits(taint: str, effect: str, told: str | None) -> None:
    assert steps()[0].gap(live(taint=taint, effect=effect)) == told


def test_nothing_is_said_of_the_nodes_of_a_cluster_that_is_not_there() -> None:
    assert steps()[0].gap(known()) is None


def test_a_silent_api_server_has_not_said_that_a_node_takes_pods() -> None:
    """Its nodes are asked for again before anything is applied, and not passed over."""
    with pytest.raises(Silent):
        steps()[0].gap(known(cluster=ClusterFacts(silent="refused")))


@pytest.mark.parametrize(
    ("apis", "told"),
    [({}, "it is not there"), ({API: "no endpoints"}, "no endpoints"), ({API: ""}, None)],
)
def test_an_api_that_an_addon_serves_has_to_be_available(apis: dict[str, str], told: str | None) -> None:
    assert step(steps(), f"{API} is served").gap(live(apis=apis)) == told


def test_what_carries_the_mark_is_applied_after_all_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    payloads: list[str] = []
    monkeypatch.setattr(downloads, "kept", lambda url, sha256: (CAPTURED / "metrics-server.yml").read_bytes())
    made = cluster(NAMED)
    close = step(addons.steps(made, made.founder), "metrics-server is applied").close
    assert close
    close(made.founder)
    assert [line.split()[:3] for line in world(made, "manager").ran] == [["kubectl.sh", "apply", "--server-side"]] * 2
    payloads.append(world(made, "manager").payloads["kubectl.sh"])
    assert [one["kind"] for one in json.loads(payloads[-1])["items"]] == ["Deployment"]


@pytest.mark.parametrize("there", ['{"nodePathMap": [{"node": "n", "paths": ["/mnt/ssd"]}]}', "", "{,"])
def test_where_volumes_lie_is_somebodys_choice(monkeypatch: pytest.MonkeyPatch, there: str) -> None:
    """Else all that is made from the next `up` on would fill the system's own disk."""
    manifest = (CAPTURED / "local-path.yml").read_text()
    monkeypatch.setattr(downloads, "kept", lambda url, sha256: manifest.encode())
    made, payloads = cluster(NAMED), list[str]()
    world(made, "manager").answers["kubectl.sh"] = there
    monkeypatch.setattr(
        world(made, "manager"), "on_change", lambda: payloads.extend(world(made, "manager").payloads.values())
    )
    close = step(addons.steps(made, made.founder), "local-path is applied").close
    assert close
    close(made.founder)
    applied = [one for payload in payloads for one in json.loads(payload)["items"] if one["kind"] == "ConfigMap"]
    published = [one for one in addon.parsed(manifest) if one["kind"] == "ConfigMap"]
    upstreams = published[0]["data"]["config.json"]
    assert [one["data"]["config.json"] for one in applied] == [there if "ssd" in there else upstreams]


def test_docker_is_asked_for_its_images_at_the_mirror_of_their_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker itself knows of mirrors for Docker Hub alone."""
    monkeypatch.setattr(downloads, "kept", lambda url, sha256: (CAPTURED / "metrics-server.yml").read_bytes())
    hosts = NAMED.replace(", local-path@0.0.30", "") + "mirrors: {registry.k8s.io: http://10.0.0.1:5000}\n"
    for runtime, registry in (("docker", "10.0.0.1:5000"), ("containerd", "registry.k8s.io")):
        made = cluster(hosts.replace("1.37.2\n", f"1.37.2\n  runtime: {runtime}\n"))
        close = step(addons.steps(made, made.founder), "metrics-server is applied").close
        assert close
        close(made.founder)
        image = f"{registry}/metrics-server/metrics-server:v0.9.0"
        assert f'"image": "{image}"' in world(made, "manager").payloads["kubectl.sh"]
        assert image in addons.all_images(made.inventory)


def test_another_mirror_is_another_addon_to_docker_alone() -> None:
    for runtime, marked in (
        ("docker", f"local-path 0.0.37 {ADDONS['local-path'].edition} docker.io=10.0.0.1:5000"),
        ("containerd", f"local-path 0.0.37 {ADDONS['local-path'].edition}"),
    ):
        hosts = HOSTS.replace("1.37.2\n", f"1.37.2\n  runtime: {runtime}\n  addons: [flannel, local-path]\n")
        made = cluster(hosts + "mirrors: {docker.io: http://10.0.0.1:5000}\n")
        (version,) = (one for one in ADDONS["local-path"].versions if one.version == "0.0.37")
        assert addons.mark(ADDONS["local-path"], version, made.inventory) == marked
        live = ClusterFacts(workloads={"a/b": Workload(annotations={ADDON: marked})})
        assert live.addons == {"local-path": "0.0.37"}


def test_docker_is_asked_for_rooks_images_at_the_mirror_wherever_they_stand() -> None:
    made = inventory(
        HOSTS.replace("1.37.2\n", "1.37.2\n  runtime: docker\n") + "mirrors: {quay.io: http://near:5000}\n"
    )
    text = (CAPTURED / "rook-operator.yaml").read_text()
    renamed = json.dumps(addons.renamed(addon.parsed(text), ADDONS["rook"].versions[0], made))
    assert "near:5000/cephcsi/cephcsi:v3.17.0" in renamed
    assert "quay.io/cephcsi/cephcsi:" not in renamed


def test_a_version_that_is_not_documented_for_this_minor_is_a_warning_that_names_the_range() -> None:
    named = HOSTS.replace("1.37.2\n", "1.37.2\n  addons: [flannel, kubernetes-dashboard]\n")
    warning = step(steps(named), "kubernetes-dashboard is applied").warning
    assert warning == "kubernetes-dashboard 2.7.0 is documented for Kubernetes 1.19 to 1.25, and this is 1.37"
    assert step(steps(), "metrics-server is applied").warning == ""


@pytest.mark.parametrize(
    ("named", "meant"),
    [("[flannel]", "headlamp"), ("[flannel, kubernetes-dashboard@2.0.0]", "kubernetes-dashboard")],
)
def test_the_dashboard_is_todays_unless_hosts_yml_names_the_other(named: str, meant: str) -> None:
    found = cluster(HOSTS.replace("1.37.2\n", f"1.37.2\n  addons: {named}\n")).inventory
    assert addons.addon_shown(found) is ADDONS[meant]


@pytest.mark.parametrize(
    ("asked", "file", "listed"),
    [
        ("metrics-server", "metrics-server.yml", ["registry.k8s.io/metrics-server/metrics-server:v0.9.0"]),
        # The second is of the pods that make directories, which a ConfigMap holds.
        (
            "local-path@0.0.30",
            "local-path.yml",
            ["docker.io/rancher/local-path-provisioner:v0.0.30", "docker.io/library/busybox:1.37.0"],
        ),
        # Its operators start the rest.
        (
            "rook",
            "rook-operator.yaml",
            [
                "docker.io/rook/ceph:v1.20.6",
                "quay.io/ceph/ceph:v20.2.4",
                "registry.k8s.io/sig-storage/csi-provisioner:v6.2.0",
                "registry.k8s.io/sig-storage/csi-attacher:v4.12.0",
                "registry.k8s.io/sig-storage/csi-resizer:v2.1.0",
                "registry.k8s.io/sig-storage/csi-snapshotter:v8.5.0",
                "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.17.0",
                "quay.io/cephcsi/cephcsi:v3.17.0",
            ],
        ),
    ],
)
def test_what_an_addon_starts_is_listed_wherever_upstream_names_it(
    monkeypatch: pytest.MonkeyPatch, asked: str, file: str, listed: list[str]
) -> None:
    named = inventory(HOSTS.replace("1.37.2\n", f"1.37.2\n  addons: [flannel, {asked}]\n"))
    monkeypatch.setattr(addons, "fetched", lambda version, inventory: [(CAPTURED / file).read_text()])
    assert addons.all_images(named) == [*network.images(named), *listed]


def test_what_the_ceph_cluster_is_made_of_is_fetched_beforehand_too() -> None:
    named = inventory(HOSTS.replace("1.37.2\n", "1.37.2\n  addons: [flannel, rook]\n"))
    assert {one.url for one in (CEPHS["1.20.6"].cluster, CEPHS["1.20.6"].cluster_test)} <= set(
        addons.all_manifests(named)
    )


def test_all_images_and_manifests_of_what_hosts_yml_names_are_known_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    pod = {"containers": [{"name": "a", "image": "r/a:1"}], "initContainers": [{"name": "b", "image": "r/b:1"}]}
    documents = [{"kind": "Deployment", "spec": {"template": {"spec": pod}}}, {"kind": "X", "spec": {"image": {}}}]
    named = inventory(HOSTS.replace("1.37.2\n", "1.37.2\n  addons: [flannel, metrics-server]\n"))
    monkeypatch.setattr(addons, "fetched", lambda version, inventory: [])
    monkeypatch.setattr(type(ADDONS["metrics-server"]), "documents", lambda self, texts, mark: documents)
    assert addons.all_images(named) == [*network.images(named), "docker.io/r/a:1", "docker.io/r/b:1"]
    urls = [one.url for one in ADDONS["metrics-server"].versions[-1].manifests]
    assert set(addons.all_manifests(named)) == {*network.manifests(named), *urls}
