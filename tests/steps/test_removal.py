"""Add-ons that are to go."""

import json
from pathlib import Path

import pytest

from kubefab import downloads
from kubefab.addons import ADDONS
from kubefab.errors import Silent
from kubefab.facts import ADDON, AddonObject, Ceph, ClusterFacts, Facts, Volume, Workload
from kubefab.step import Step
from kubefab.steps import removal
from tests.facts import known
from tests.fakes import cluster, step, world

CAPTURED = Path(__file__).parent.parent / "captured"


def live(mark: str | None = None, left: tuple[str, ...] = (), told: bool = True) -> Facts:
    annotations = {} if mark is None else {ADDON: mark}
    there = ClusterFacts(workloads={"kube-system/metrics-server": Workload(annotations=annotations)})
    objects = tuple(AddonObject("metrics-server", name) for name in left)
    return known(cluster=there, addon_objects=objects, addons_told=told)


def going(name: str) -> list[Step]:
    made = cluster()
    return removal.steps(name)(made, made.founder)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (known(), None),
        (known(cluster=ClusterFacts()), "the API server does not list the volumes"),
        (known(cluster=ClusterFacts(), volumes_told=True), None),
        (known(persistent=(Volume("default/data", "local-path"),)), "volumes of these claims: default/data"),
        (known(persistent=(Volume("default/data", "other"),)), None),
    ],
)
def test_storage_that_keeps_volumes_is_not_removed(found: Facts, told: str | None) -> None:
    assert step(going("local-path"), "no volume needs local-path").gap(found) == told


@pytest.mark.parametrize("name", ["kubernetes-dashboard", "local-path"])
def test_a_volume_in_the_namespace_that_goes_is_told_whoever_keeps_it(name: str) -> None:
    """Its claim goes with the Namespace, and its data with the claim."""
    space = ADDONS[name].workload.partition("/")[0]
    mine = Volume(f"{space}/mine", "nfs", "nfs.csi.k8s.io")
    found = known(cluster=ClusterFacts(), persistent=(mine, Volume("kube-system/other", "nfs")), volumes_told=True)
    assert step(going(name), f"no volume needs {name}").gap(found) == f"volumes of these claims: {space}/mine"
    assert step(going("headlamp"), "no volume needs headlamp").gap(found) is None


def test_what_else_goes_with_a_namespace_is_told_before_the_question() -> None:
    marked = {"kubernetes-dashboard/kubernetes-dashboard": Workload(annotations={ADDON: "kubernetes-dashboard 2.7.0"})}
    found = known(cluster=ClusterFacts(workloads=marked), addons_told=True)
    told = step(going("kubernetes-dashboard"), "kubernetes-dashboard is not there").gap(found)
    assert told
    assert told.endswith("with all that it serves, and all else in the namespace kubernetes-dashboard")
    left = known(
        cluster=ClusterFacts(),
        addons_told=True,
        addon_objects=(AddonObject("local-path", "namespace/local-path-storage"),),
    )
    told = step(going("local-path"), "local-path is not there").gap(left)
    assert told
    assert told.endswith("namespace/local-path-storage, and all else in the namespace local-path-storage")


def test_an_addon_is_gone_when_all_of_it_is() -> None:
    gone = step(going("metrics-server"), "metrics-server is not there")
    assert gone.gap(live("metrics-server 0.9.0")) == "metrics-server 0.9.0, with all that it serves"
    assert gone.gap(live(left=("service/x", "clusterrole.y/z"))) == "what is left of it: service/x, clusterrole.y/z"
    assert gone.gap(live()) is None
    with pytest.raises(Silent):
        gone.gap(live(told=False))


def test_what_carries_the_mark_goes_after_all_that_it_takes_leave_of() -> None:
    kinds = ("Namespace", "CustomResourceDefinition", "ClusterRoleBinding", "Deployment")
    documents = [{"kind": kind, "metadata": {"name": "x"}} for kind in kinds]
    turns = [[one["kind"] for one in part] for part in removal.in_turn(documents)]
    assert turns == [["ClusterRoleBinding", "CustomResourceDefinition"], ["Deployment"], ["Namespace"]]


def test_an_addon_is_deleted_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "kept", lambda url, sha256: (CAPTURED / "metrics-server.yml").read_bytes())
    made = cluster()
    monkeypatch.setattr(made, "facts", lambda _: live("metrics-server 0.9.0"))
    close = step(removal.steps("metrics-server")(made, made.founder), "metrics-server is not there").close
    assert close
    close(made.founder)
    assert [line.split()[:2] for line in world(made, "manager").ran] == [["kubectl.sh", "delete"]] * 2
    (last,) = json.loads(world(made, "manager").payloads["kubectl.sh"])["items"]
    assert last["kind"] == "Deployment"


def test_of_what_is_left_of_an_addon_only_that_goes_which_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has removed ours by hand, but for what is in no namespace, and has another of the same names by now."""
    monkeypatch.setattr(downloads, "kept", lambda url, sha256: (CAPTURED / "metrics-server.yml").read_bytes())
    made = cluster()
    name = "clusterrole.rbac.authorization.k8s.io/system:aggregated-metrics-reader"
    monkeypatch.setattr(made, "facts", lambda _: live(left=(name,)))
    close = step(removal.steps("metrics-server")(made, made.founder), "metrics-server is not there").close
    assert close
    close(made.founder)
    assert len(world(made, "manager").ran) == 1
    (gone,) = json.loads(world(made, "manager").payloads["kubectl.sh"])["items"]
    assert f"{gone['kind'].lower()}.rbac.authorization.k8s.io/{gone['metadata']['name']}" == name


def test_a_volume_of_no_class_is_no_addons() -> None:
    found = known(cluster=ClusterFacts(), persistent=(Volume("default/mine"),), volumes_told=True)
    assert step(going("headlamp"), "no volume needs headlamp").gap(found) is None


MARKED = Ceph("1.20.6 cluster-test client=/dev/sdb")
NO_CEPH = "no Ceph cluster is left"


def ceph(*clusters: Ceph, pools: tuple[str, ...] = (), told: bool = True, volumes: tuple[Volume, ...] = ()) -> Facts:
    there = ClusterFacts()
    return known(cluster=there, clusters=clusters, pools=pools, ceph_told=told, persistent=volumes, volumes_told=True)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (known(), None),
        (ceph(), None),
        (ceph(MARKED), "a Ceph cluster, and all data in it, which has no pool"),
        (
            ceph(MARKED, pools=("CephBlockPool a", "CephFilesystem b")),
            "and all data in CephBlockPool a, CephFilesystem b",
        ),
        (ceph(pools=("CephBlockPool a",)), "all data in CephBlockPool a"),
    ],
)
def test_what_dies_with_a_ceph_cluster_is_said_as_it_is(found: Facts, told: str | None) -> None:
    gap = step(going("rook"), NO_CEPH).gap(found)
    assert gap is None if told is None else told in (gap or "")


def test_where_the_api_server_does_not_say_there_may_be_a_ceph_cluster() -> None:
    for title in (NO_CEPH, "no Ceph cluster of others exists"):
        with pytest.raises(Silent, match="whether there is a Ceph cluster"):
            step(going("rook"), title).gap(ceph(told=False))


def test_a_ceph_cluster_of_somebody_elses_is_told_and_left_alone() -> None:
    theirs = step(going("rook"), "no Ceph cluster of others exists")
    assert (theirs.gap(ceph(MARKED, Ceph(""))), theirs.close) == ("one that was applied by hand", None)
    assert theirs.gap(ceph(MARKED)) is None


def test_volumes_that_rook_keeps_are_asked_for_before_anything_of_it_goes() -> None:
    kept = Volume("default/data", "a-class-of-their-own", "rook-ceph.rbd.csi.ceph.com")
    titles = [one.title for one in going("rook")]
    assert titles.index("no volume needs rook") < titles.index(NO_CEPH)
    gap = step(going("rook"), "no volume needs rook").gap(ceph(MARKED, volumes=(kept,)))
    assert gap == "volumes of these claims: default/data"
    assert step(going("local-path"), "no volume needs local-path").gap(ceph(volumes=(kept,))) is None


def test_a_ceph_cluster_goes_after_its_pools_and_before_its_operator() -> None:
    made = cluster()
    close = step(removal.steps("rook")(made, made.founder), NO_CEPH).close
    assert close
    close(made.founder)
    assert [line.rpartition("--namespace rook-ceph ")[2] for line in world(made, "manager").ran] == [
        "cephblockpools,cephfilesystems,cephobjectstores --all",
        "cephclusters --all",
    ]
