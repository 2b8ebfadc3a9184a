"""What an upgrade fetches, and what it finds to do on a master."""

from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubefab import kubeadm
from kubefab.bundle import write
from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Configuration, Facts, Manifest, Member, Node, Package, Workload
from kubefab.inventory import Inventory
from kubefab.steps import network, upgrade, upgrade_kubelet, versions
from kubefab.steps.bundle import etcd_on_its_way
from tests.facts import known, with_
from tests.fakes import HOSTS, cluster, inventory, step, three_masters
from tests.steps.test_gaps import ABOUT

WANTED = "1.37.2"
REGISTRY = "registry.k8s.io"


def images(version: str) -> dict[str, str]:
    """A master's static pods, of this version."""
    return {"etcd.yaml": f"{REGISTRY}/etcd:3.7.0-0"} | {
        f"{name}.yaml": f"{REGISTRY}/{name}:v{version}" for name in versions.STATIC
    }


def debs(version: str) -> dict[str, Package]:
    return {name: Package("hi", f"{version}-1.1") for name in ("kubelet", "kubeadm", "kubectl")}


def live(*nodes: Node, proxy: str = "1.37.1") -> ClusterFacts:
    workloads = {"kube-system/kube-proxy": Workload(images=(f"{REGISTRY}/kube-proxy:v{proxy}",))}
    return ClusterFacts("manager", ca="aaa", nodes={node.name: node for node in nodes}, workloads=workloads)


def host(name: str, version: str = "1.37.1", node: Node | None = None, **said: Any) -> Facts:
    """A host of the cluster whose packages, and whose kubelet unless `node` says otherwise, are of this version."""
    told = live(node or Node(name, version=version, ready=True, address="10.250.0.11"))
    facts = known(name, told, kubelet_ca="aaa", addresses={"10.250.0.11": "eth0"}, debs=debs(version))
    return with_(facts, **said)


def master(version: str = "1.37.1", configured: str = "", **said: Any) -> Facts:
    told = Configuration("", version=configured or version)
    return host("manager", version, **{"admin_ca": "aaa", "static": images(version), "configuration": told, **said})


def beside(facts: Facts, *others: Facts) -> Facts:
    return replace(facts, others={one.name: one for one in others})


# --- the control plane


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (
            master(),
            "kube-apiserver 1.37.1, kube-controller-manager 1.37.1, kube-scheduler 1.37.1, kubeadm-config 1.37.1",
        ),
        (master("1.37.2"), None),
        (master("1.37.2", configured="1.37.1"), "kubeadm-config 1.37.1"),
        (
            master("1.37.2", static=images("1.37.2") | {"kube-scheduler.yaml": f"{REGISTRY}/kube-scheduler:v1.37.1"}),
            "kube-scheduler 1.37.1",
        ),
        (master("1.37.2", configuration=None), None),
    ],
)
def test_a_control_plane_is_old_until_the_last_of_it_is_new(facts: Facts, told: str | None) -> None:
    assert upgrade.old_control_plane(WANTED)(facts) == told


def test_an_image_may_stand_in_quotes() -> None:
    quoted = {"etcd.yaml": f'"{REGISTRY}/etcd:3.7.0-0"', "kube-scheduler.yaml": f"'{REGISTRY}/kube-scheduler:v1.37.2'"}
    facts = master(static=quoted)
    assert versions.static(facts) == {
        "etcd": f"{REGISTRY}/etcd:3.7.0-0",
        "kube-scheduler": f"{REGISTRY}/kube-scheduler:v1.37.2",
    }


def test_a_silent_api_server_says_nothing_of_a_control_plane() -> None:
    with pytest.raises(Silent):
        upgrade.old_control_plane(WANTED)(replace(master(), cluster=replace(live(), silent="no answer")))


@pytest.mark.parametrize(("configured", "command"), [("1.37.1", "apply --yes"), ("1.37.2", "node")])
def test_the_first_master_takes_kubeadms_configuration_with_it(configured: str, command: str) -> None:
    made = cluster(three_masters())
    made._alone["m1"] = with_(master(configured=configured), name="m1")
    change = step(upgrade.control_plane(made, made.hosts["m1"]), f"the control plane is of {WANTED}")
    assert change.close
    change.close(made.hosts["m1"])
    world = vars(made.hosts["m1"])["world"]
    assert world.ran == [f"upgrade.sh {WANTED}  {command}"]
    told = yaml.safe_load(world.payloads["upgrade.sh"])
    own = {"ignorePreflightErrors": [], "skipPhases": ["addon"], "patches": {"directory": "/etc/kubefab/patches"}}
    assert (told["apply"], told["node"]) == ({"kubernetesVersion": "v1.37.2", **own}, own)


EARLIER = "no earlier copy of kubeadm's takes up room"


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (master(copies=("kubeadm-backup-etcd-1",)), "kubeadm-backup-etcd-1"),
        (master("1.37.2", configured="1.37.1", copies=("kubeadm-backup-etcd-1",)), "kubeadm-backup-etcd-1"),
        (master("1.37.2", copies=("kubeadm-backup-etcd-1",)), None),
        (master(copies=("kubeadm-backup-manifests-1",), torn=("etcd.yaml",)), None),
        (master(), None),
    ],
    ids=["old", "kubeadm-config is old", "new", "a manifest is only there", "none"],
)
def test_the_copies_of_a_broken_off_upgrade_go_before_the_next_copy_of_etcd(facts: Facts, told: str | None) -> None:
    """Each kill of kubeadm leaves one as big as etcd. The end of the kubelet's upgrade takes the last one away."""
    made = cluster(three_masters())
    made._alone["m1"] = replace(facts, name="m1")
    titles = [one.title for one in upgrade.control_plane(made, made.hosts["m1"])]
    assert titles.index(EARLIER) < titles.index(f"the control plane is of {WANTED}")
    gone = step(upgrade.control_plane(made, made.hosts["m1"]), EARLIER)
    assert (gone.gap(facts), gone.anew) == (told, True)
    assert gone.close
    gone.close(made.hosts["m1"])
    assert vars(made.hosts["m1"])["world"].ran == ["forget-copies.sh"]


PATCHED = {f"{kind}Configuration": {"patches": {"directory": "/etc/mine"}} for kind in ("Init", "Join")}


@pytest.mark.parametrize(
    ("wanted", "name", "folder"),
    [
        (inventory(), "manager", upgrade.BOTH_PATCHES),
        (inventory(), "client", "/etc/mine"),
        (three_masters(), "m2", upgrade.BOTH_PATCHES),
        (three_masters(), "client", "/etc/mine"),
    ],
)
def test_an_upgrade_makes_all_with_the_patches_that_hosts_yml_names(wanted: Inventory, name: str, folder: str) -> None:
    """kubeadm is told of them each time: without them they would be gone."""
    made = cluster(with_kubeadm(wanted, PATCHED))
    made._alone[name] = with_(master(), name=name)
    told = yaml.safe_load(upgrade.documents(made, made.hosts[name]))
    assert (told["apply"]["patches"], told["node"]["patches"]) == ({"directory": folder}, {"directory": folder})
    for subject in (upgrade.control_plane, upgrade_kubelet.kubelet(600)):
        for change in subject(made, made.hosts[name]):
            if change.close and change.title.endswith(f"of {WANTED}"):
                change.close(made.hosts[name])
    ran = [one for one in vars(made.hosts[name])["world"].ran if one.startswith("upgrade")]
    ours = [f"upgrade.sh {WANTED} /etc/mine apply --yes"] if name != "client" else []
    assert ran == [*ours, f"upgrade-kubelet.sh {WANTED} /etc/mine"]


def test_which_patches_a_master_was_made_with_has_to_be_known_before_an_upgrade() -> None:
    made = cluster(with_kubeadm(three_masters(), {"InitConfiguration": PATCHED["InitConfiguration"]}))
    (of_m2,) = upgrade.known_patches(made, made.hosts["m2"])
    assert (of_m2.gap(with_(master(), name="m2")) or "").startswith("nobody knows with which patches it was made")
    assert of_m2.gap(with_(master(WANTED), name="m2")) is None  # it is upgraded, and nothing made without them
    assert upgrade.known_patches(made, made.hosts["client"])[0].gap(host("client")) is None


@pytest.mark.parametrize(
    ("wanted", "name", "borne", "timeouts"),
    [
        (inventory(), "manager", ["Swap"], {"upgradeManifests": "9m"}),
        (inventory(), "client", ["Mem"], {"kubeletHealthCheck": "8m"}),
        (three_masters(), "m1", ["Swap", "Mem"], {"upgradeManifests": "9m", "kubeletHealthCheck": "8m"}),
    ],
)
def test_an_upgrade_passes_over_and_waits_for_what_hosts_yml_says_of_nodes(
    wanted: Inventory, name: str, borne: list[str], timeouts: dict[str, str]
) -> None:
    said = {
        "InitConfiguration": {
            "nodeRegistration": {"ignorePreflightErrors": ["Swap"]},
            "timeouts": {"upgradeManifests": "9m"},
        },
        "JoinConfiguration": {
            "nodeRegistration": {"ignorePreflightErrors": ["Mem"]},
            "timeouts": {"kubeletHealthCheck": "8m"},
        },
    }
    made = cluster(with_kubeadm(wanted, said))
    told = yaml.safe_load(upgrade.documents(made, made.hosts[name]))
    assert (told["node"]["ignorePreflightErrors"], told["timeouts"]) == (borne, timeouts)


def with_kubeadm(wanted: Inventory, documents: Any) -> Inventory:
    return wanted.model_copy(update={"cluster": wanted.cluster.model_copy(update={"kubeadm": documents})})


def test_a_worker_has_no_control_plane_to_upgrade() -> None:
    made = cluster()
    assert upgrade.control_plane(made, made.hosts["client"]) == []


@pytest.mark.parametrize(("proxy", "told"), [("1.37.1", "kube-proxy 1.37.1"), ("1.37.2", None), ("1.37.3", None)])
def test_what_kubeadm_keeps_in_the_cluster_is_old_as_long_as_kube_proxy_is(proxy: str, told: str | None) -> None:
    assert upgrade.old_proxy(WANTED)(known("manager", live(proxy=proxy))) == told


GATES = "kubelets are told which feature gates cri-dockerd cannot live with"
DOCKER = HOSTS.replace("1.37.2\n", "1.37.2\n  runtime: docker\n")
NAMED = DOCKER.replace(
    "docker\n", "docker\n  kubeadm: {KubeletConfiguration: {featureGates: {ExtendWebSocketsToKubelet: true}}}\n"
)


def keeping(version: str = "1.37.1", **kubelets: Any) -> Facts:
    """A master, and what kubeadm keeps for kubelets."""
    text = yaml.safe_dump({"kind": "KubeletConfiguration", **kubelets})
    stored = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
    told = Manifest.read(b64encode(text.encode()).decode())
    return master(version, configuration=Configuration(stored, version=WANTED), kubelets=told)


@pytest.mark.parametrize(
    ("hosts", "facts", "told"),
    [
        (DOCKER, keeping(featureGates={"Mine": True}), "without ExtendWebSocketsToKubelet"),
        (DOCKER, keeping(featureGates={"ExtendWebSocketsToKubelet": False}), None),
        (DOCKER, keeping(featureGates={"ExtendWebSocketsToKubelet": True}), None),
        (NAMED, keeping(), None),
        (HOSTS, keeping(), None),
        (DOCKER.replace("1.37.2", "1.35.2"), keeping(), None),
    ],
)
def test_kubelets_get_the_gates_that_cri_dockerd_wants_off_since_the_new_version(
    hosts: str, facts: Facts, told: str | None
) -> None:
    made = cluster(hosts)
    assert step(upgrade.kept([])(made, made.hosts["manager"]), GATES).gap(facts) == told


def test_the_gates_come_beside_all_that_kubeadm_keeps_for_kubelets() -> None:
    made = cluster(DOCKER)
    made._alone["manager"] = keeping(maxPods=7, featureGates={"Mine": True})
    change = step(upgrade.kept([])(made, made.hosts["manager"]), GATES)
    assert change.close
    change.close(made.hosts["manager"])
    world = vars(made.hosts["manager"])["world"]
    *_, kubelet = yaml.safe_load_all(world.payloads["upload-configuration.sh"])
    assert (world.ran, kubelet["maxPods"]) == (["upload-configuration.sh kubelet"], 7)
    assert kubelet["featureGates"] == {"ExtendWebSocketsToKubelet": False, "Mine": True}


def test_gates_that_no_kubelet_would_take_any_more_are_left_to_its_configuration() -> None:
    made = cluster(DOCKER)
    facts = keeping(WANTED)
    assert step(upgrade.kept([])(made, made.hosts["manager"]), GATES).gap(facts) is None


def test_gates_that_nobody_could_read_are_not_missing() -> None:
    with pytest.raises(Silent):
        upgrade.without_gates(inventory(DOCKER))(master())


@pytest.mark.parametrize(
    ("now", "told"), [("v1.14.2", "CoreDNS 1.14.2"), ("v1.14.6", None), ("v1.15.0", None), ("", None)]
)
def test_coredns_which_kubeadm_passes_over_is_brought_up(now: str, told: str | None) -> None:
    """kubeadm counts it as disabled, since its init has left it to kubefab."""
    there = {network.COREDNS: Workload(images=(f"{REGISTRY}/coredns/coredns:{now}",))} if now else {}
    facts = known("manager", replace(live(), workloads=there))
    assert upgrade.old_dns([f"{REGISTRY}/pause:3.10.2", f"{REGISTRY}/coredns/coredns:v1.14.6"])(facts) == told
    assert upgrade.old_dns([])(facts) is None


def test_the_image_of_coredns_is_asked_for_though_kubeadm_counts_it_as_disabled() -> None:
    stored = "dns: {disabled: true, imageRepository: near}\nkubernetesVersion: v1.36.3\n"
    assert yaml.safe_load(kubeadm.at_version(stored, WANTED)) == {
        "dns": {"imageRepository": "near"},
        "kubernetesVersion": f"v{WANTED}",
    }


# --- etcd


OLD_ETCD = images("1.36.3") | {"etcd.yaml": f"{REGISTRY}/etcd:3.6.8-0"}


def member(version: str, now: str = "1.36.3", **said: Any) -> Facts:
    return master(now, **{"member": Member(1, 1, version=version), "etcd_runs": True, **said})


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (member("3.6.8"), "etcd 3.6.8"),
        (member("3.6.16"), None),
        (member("3.7.0"), None),
        (member("3.6.8", now="1.37.2"), None),
        (member("3.6.8", servers="https://10.0.0.9:2379"), None),
        (master("1.36.3", etcd_silent="no answer", static=OLD_ETCD), "its etcd gives no answer: no answer"),
        (master("1.36.3", etcd_silent="no answer"), None),
    ],
    ids=["old", "new enough", "farther already", "nothing to upgrade", "not kubeadm's", "silent", "silent and new"],
)
def test_several_members_go_to_the_newest_of_their_minor_before_the_next(facts: Facts, told: str | None) -> None:
    assert upgrade.old_etcd("3.6.16-0", WANTED)(facts) == told


def test_as_long_as_one_master_is_to_be_upgraded_no_etcd_is_left_behind() -> None:
    facts = beside(member("3.6.8", now="1.37.2"), replace(master("1.36.3"), name="m2"))
    assert upgrade.old_etcd("3.6.16-0", WANTED)(facts) == "etcd 3.6.8"


@pytest.mark.parametrize(("wanted", "several"), [(HOSTS, False), (three_masters(), True)])
def test_a_single_member_goes_to_the_next_minor_at_once(wanted: Any, several: bool) -> None:
    made = cluster(wanted)
    assert bool(upgrade.etcd_first(made, made.founder)) is several


@pytest.mark.parametrize("image", ["near:5000/etcd:3.6.8-0", f"near:5000/etcd:3.6.8-0@sha256:{64 * 'a'}"])
def test_etcd_comes_from_where_it_came_before(image: str) -> None:
    made = cluster(three_masters())
    made._alone["m1"] = replace(member("3.6.8", static={"etcd.yaml": image}), name="m1")
    change = step(upgrade.etcd_first(made, made.hosts["m1"]), "etcd is of 3.6.16 before it goes farther").close
    assert change
    change(made.hosts["m1"])
    assert vars(made.hosts["m1"])["world"].ran == ["set-etcd-image.sh near:5000/etcd:3.6.16-0"]


# --- what is fetched


@pytest.mark.parametrize(
    ("fetched", "told"),
    [
        ((), "without kubelet, kubeadm, kubectl"),
        (("kubelet_1.37.2-1.1_amd64.deb", "kubeadm_1.37.2-1.1_amd64.deb"), "without kubectl"),
        (("kubelet_1.37.20-1.1_amd64.deb",), "without kubelet, kubeadm, kubectl"),
    ],
)
def test_packages_are_downloaded_before_anything_is_changed(fetched: tuple[str, ...], told: str) -> None:
    assert upgrade.unfetched(WANTED)(host("client", fetched=fetched)) == told


def test_what_is_installed_is_not_downloaded() -> None:
    assert upgrade.unfetched(WANTED)(host("client", "1.37.2")) is None


def test_a_host_that_is_not_behind_fetches_nothing() -> None:
    made = cluster(inventory())
    states = upgrade.fetched(["registry.k8s.io/pause:3.10.2"])(made, made.hosts["client"])
    assert [one.title for one in states if one.gap(host("client", "1.37.2"))] == []
    assert f"the images of Kubernetes {WANTED} are there" in [one.title for one in states if one.gap(host("client"))]


def test_who_is_told_to_name_another_mirror_is_told_how_it_comes_to_the_hosts() -> None:
    """An upgrade writes no mirror of images, and `up` refuses while hosts.yml says the new version."""
    made = cluster(inventory())
    there = step(
        upgrade.fetched(["pause:3"])(made, made.hosts["client"]), f"the images of Kubernetes {WANTED} are there"
    )
    assert "with the cluster's present version in hosts.yml: inv cluster.up" in there.hint


def test_a_new_bundle_is_the_source_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "folder" / "packages").mkdir(parents=True)
    write(tmp_path / "it.bundle", ABOUT, tmp_path / "folder")
    made = cluster(f"{HOSTS}bundle: {tmp_path}/it.bundle\n")
    titles = [one.title for one in upgrade.fetched([])(made, made.hosts["client"])]
    assert {"the bundle is unpacked", "the bundle's images are loaded"} <= set(titles)
    assert not [title for title in titles if "downloaded" in title]


ON_ITS_WAY = f"{REGISTRY}/etcd:3.6.16-0"


@pytest.mark.parametrize(
    ("bundled", "there", "told"),
    [
        ([], [], f"{ON_ITS_WAY}: neither in the bundle nor on the host"),
        ([ON_ITS_WAY], [], None),
        ([], [ON_ITS_WAY], None),
    ],
    ids=["nowhere", "in the bundle", "given by images.preload"],
)
def test_only_a_bundle_without_the_etcd_on_its_way_stops_it_before_any_change(
    tmp_path: Path, bundled: list[str], there: list[str], told: str | None
) -> None:
    """What is judged before any change, the bundle's images have not been loaded by then."""
    (tmp_path / "folder" / "packages").mkdir(parents=True)
    write(tmp_path / "it.bundle", {**ABOUT, "images": dict.fromkeys(bundled, "images/it")}, tmp_path / "folder")
    several = "  m2: {address: 10.250.0.12, role: master}\n  m3: {address: 10.250.0.13, role: master}\n"
    made = cluster(f"{HOSTS}{several}bundle: {tmp_path}/it.bundle\n")
    facts = member("3.6.8", static=OLD_ETCD, images=there)
    made._alone["manager"], made._found["manager"] = facts, {"etcd": "looked at"}
    complaint = step(upgrade.fetched([])(made, made.founder), "the image of etcd on its way is at hand")
    assert (complaint.gap(facts), complaint.close, complaint.within) == (told, None, 0)


def test_a_bundle_for_several_masters_has_the_etcd_on_its_way() -> None:
    assert etcd_on_its_way(cluster(three_masters()).inventory) == [ON_ITS_WAY]
    assert etcd_on_its_way(inventory()) == []


READY = "the node is Ready before it is upgraded"


@pytest.mark.parametrize(
    ("version", "told"), [("1.37.1", "Kubelet stopped posting"), ("1.37.2", None)], ids=["not begun", "begun"]
)
def test_a_node_that_is_not_ready_is_not_begun_and_one_that_is_begun_is_ended(version: str, told: str | None) -> None:
    made = cluster()
    node = Node("client", version="1.37.1", trouble="Kubelet stopped posting", address="10.250.0.11")
    states = upgrade.fetched([])(made, made.hosts["client"])
    assert step(states, READY).gap(host("client", version, node=node)) == told


def test_why_a_node_is_not_ready_is_asked_by_the_name_that_the_cluster_has_for_it() -> None:
    made = cluster()
    facts = host("client", node=Node("node-7", "id", trouble="Kubelet stopped posting"), machine_id="id")
    made._alone["client"], made._found["client"] = facts, {"node": "looked at"}
    hint = step(upgrade.fetched([])(made, made.hosts["client"]), READY).hint
    assert hint == "see why: kubectl describe node node-7; journalctl -u kubelet, on client"


def test_a_node_whose_kubeadm_is_new_is_ended_though_its_kubelet_does_not_start() -> None:
    """A configuration for the new kubelet may be there, and no package of it: the power went in between."""
    made = cluster()
    node = Node("client", version="1.37.1", trouble="Kubelet stopped posting", address="10.250.0.11")
    states = upgrade.fetched([])(made, made.hosts["client"])
    half = {**debs("1.37.1"), "kubeadm": debs(WANTED)["kubeadm"]}
    assert step(states, READY).gap(host("client", "1.37.1", node=node, debs=half)) is None
