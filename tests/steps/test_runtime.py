"""The container runtime."""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from kubefab import render
from kubefab.cluster import Cluster
from kubefab.facts import ClusterFacts, Facts, Known, Member, Package, Unit
from kubefab.facts.part import Untold
from kubefab.step import MISSING, Step, sha256
from kubefab.steps import agreement, docker, runtime
from tests.facts import known, with_
from tests.fakes import HOSTS, cluster, inventory, looked, step, three_masters, world
from tests.members import IDS, M

TEXTS = {path: sha256(text) for path, text in render.containerd(inventory()).items()}
INSTALLED = {"containerd": Package("ii", "1.7.24~ds1-6+b4")}
RUNS = {"containerd": Unit("active", "enabled", since=100)}
CONFIG = "/etc/containerd/config.toml"


@pytest.mark.parametrize(
    ("facts", "title", "gap"),
    [
        (known(apt_lock="unattended-upgr (process 7)"), "apt is not locked", "unattended-upgr (process 7)"),
        (known(dpkg_broken=("kubelet", "containerd")), "dpkg has no half-installed packages", "kubelet, containerd"),
        (known(), "containerd is configured", MISSING),
        (known(digests={CONFIG: "0"}), "containerd is configured", f"{CONFIG} differs"),
        (known(), "containerd is installed", MISSING),
        (known(debs={"containerd": Package("iU", "1")}), "containerd is installed", MISSING),
        (known(debs={"containerd.io": Package("hi", "2.2.0-1")}), "containerd is installed", None),
        (known(), "containerd runs", "inactive"),
        (known(units=RUNS, mtimes={CONFIG: 101}), "containerd runs", "runs with an older configuration"),
        (
            known(units=RUNS, mtimes={"/etc/containerd/certs.d/quay.io/hosts.toml": 101}),  # read at every pull
            "containerd runs",
            None,
        ),
        (known(), "the container runtime answers", MISSING),
        (known(cri="error"), "the container runtime answers", "error"),
    ],
)
def test_what_is_missing_is_named(facts: Facts, title: str, gap: str | None) -> None:
    made = cluster()
    assert step(runtime.steps(made, made.founder), title).gap(facts) == gap


def test_a_runtime_that_is_well_misses_nothing() -> None:
    well = known(digests=TEXTS, debs=INSTALLED, units=RUNS, cri="ok")
    made = cluster()
    assert [one.title for one in runtime.steps(made, made.founder) if one.gap(well)] == []


DOCKER = HOSTS.replace("1.37.2\n", "1.37.2\n  runtime: docker\n")
OLD = DOCKER.replace("1.37.2", "1.20.2") + "mirrors: {https://pkgs.k8s.io/: http://near/}\n"
DAEMON = "/etc/docker/daemon.json"
UNIT = "/etc/systemd/system/cri-docker.service"
DOCKER_RUNS = {name: Unit("active", "enabled", since=100) for name in ("docker", "cri-docker")}
DOCKER_WELL = known(
    digests={path: sha256(text) for path, text in render.runtime(inventory(DOCKER)).items()},
    contents={DAEMON: b64encode(json.dumps(docker.ours(inventory(DOCKER))).encode()).decode()},
    debs={"docker-ce": Package("ii", "5:28.0")},
    units=DOCKER_RUNS,
    cri="error",
    docker="ok",
    docker_cri="ok",
    cri_dockerd="0.3.24",
)


@pytest.mark.parametrize(
    ("facts", "title", "gap"),
    [
        (known(), "Docker is configured", MISSING),
        (known(debs={"docker.io": Package("rc", "20.10")}), "Docker Engine is installed", MISSING),
        (known(), "cri-dockerd 0.3.24 is installed", MISSING),
        (known(cri_dockerd="0.2.0"), "cri-dockerd 0.3.24 is installed", "0.2.0"),
        (known(), "cri-dockerd is configured", MISSING),
        (known(units=DOCKER_RUNS, mtimes={DAEMON: 101}), "docker runs", "runs with an older configuration"),
        (known(units=DOCKER_RUNS, mtimes={UNIT: 101}), "cri-docker runs", "runs with an older configuration"),
        (known(docker_cri="ok", cri="ok"), "the container runtime answers", MISSING),
        (known(docker="refused", cri="ok"), "the container runtime answers", "refused"),
        (known(docker="ok", docker_cri="no answer", cri="ok"), "the container runtime answers", "no answer"),
    ],
)
def test_what_docker_misses_is_named(facts: Facts, title: str, gap: str | None) -> None:
    made = cluster(DOCKER)
    assert step(runtime.steps(made, made.founder), title).gap(facts) == gap


def test_docker_that_is_well_misses_nothing() -> None:
    made = cluster(DOCKER)
    assert [one.title for one in runtime.steps(made, made.founder) if one.gap(DOCKER_WELL)] == []


def test_before_the_kubelet_there_is_no_dockershim_but_docker() -> None:
    made = cluster(OLD)
    steps = runtime.steps(made, made.founder)
    assert not [one.title for one in steps if "cri-docker" in one.title]
    assert step(steps, "the container runtime answers").gap(known(docker="ok")) is None


@pytest.mark.parametrize(
    ("arch", "told", "url", "digest"),
    [
        ("x86_64", "", "https://github.com/Mirantis/cri-dockerd/releases/download/v0.3.24/", "dd4b7f51"),
        ("aarch64", "", "https://github.com/Mirantis/cri-dockerd/releases/download/v0.3.24/", "c783a037"),
        ("x86_64", f"  cri_dockerd: {{version: 0.4.0, sha256: {'a' * 64}}}\n", "http://near/v0.4.0/", "a" * 64),
    ],
)
def test_cri_dockerd_comes_by_its_sum(arch: str, told: str, url: str, digest: str) -> None:
    mirror = "mirrors: {https://github.com/Mirantis/cri-dockerd/releases/download/: http://near/}\n" if told else ""
    made = looked({"manager": {"system": f"arch {arch}"}}, DOCKER.replace("docker\n", f"docker\n{told}") + mirror)
    version = "0.4.0" if told else "0.3.24"
    close = step(runtime.steps(made, made.founder), f"cri-dockerd {version} is installed").close
    assert close
    close(made.founder)
    name, asked, pinned = world(made, "manager").ran[-1].split()
    assert (name, asked.startswith(url), pinned.startswith(digest)) == ("install-cri-dockerd.sh", True, True)


def test_the_configuration_comes_before_the_package_that_starts_the_service() -> None:
    made = cluster()
    titles = [one.title for one in runtime.steps(made, made.founder)]
    assert titles.index("containerd is configured") < titles.index("containerd is installed")


def test_a_busy_apt_and_a_socket_are_waited_for() -> None:
    made = cluster()
    steps = runtime.steps(made, made.founder)
    assert (step(steps, "apt is not locked").close, step(steps, "apt is not locked").within) == (None, 900)
    assert (
        step(steps, "the container runtime answers").close,
        step(steps, "the container runtime answers").within,
    ) == (None, 30)


@pytest.mark.parametrize(("kind", "title"), [("containerd", "containerd"), ("docker", "Docker")])
def test_images_by_plain_http_are_warned_of_once_for_all_hosts(kind: str, title: str) -> None:
    mirrors = "mirrors: {quay.io: http://near, ghcr.io: https://far, docker.io: http://near}\n"
    made = cluster(HOSTS.replace("1.37.2", f"1.37.2\n  runtime: {kind}") + mirrors)
    warned = [step(runtime.steps(made, host), f"{title} is configured").warning for host in made.hosts.values()]
    assert "images of quay.io, docker.io come over plain http" in warned[0]
    assert warned[1:] == [""]


def test_without_such_mirrors_there_is_nothing_to_warn_of() -> None:
    made = cluster()
    assert step(runtime.steps(made, made.founder), "containerd is configured").warning == ""


def test_a_mirror_that_hosts_yml_names_no_more_is_asked_no_more() -> None:
    made = cluster(HOSTS + "mirrors: {quay.io: http://near}\n")
    one = step(runtime.steps(made, made.founder), "no registry has an outdated mirror")
    assert one.gap(known(mirrored=("quay.io", "ghcr.io"))) == "ghcr.io"
    assert one.gap(known(mirrored=("quay.io",))) is None
    assert one.close
    one.close(made.founder)
    assert world(made, "manager").ran == ["forget-mirrors.sh quay.io"]


@pytest.mark.parametrize(
    ("root", "told"),
    [
        ("", None),
        ("/var/lib/containerd", None),  # as `containerd config default` has it
        ("/data", '/etc/containerd/config.toml says root = "/data"'),
    ],
)
def test_a_containerd_that_stores_elsewhere_is_told_before_it_would_lose_sight_of_it(
    root: str, told: str | None
) -> None:
    """Its file is written anew: all that is there would be out of sight, others' containers too."""
    made = cluster()
    complaint = step(agreement.steps(made, made.founder), "containerd keeps its place")
    assert (complaint.close, complaint.gap(known(containerd_root=root))) == (None, told)
    by_docker = cluster(HOSTS.replace("1.37.2\n", "1.37.2\n  runtime: docker\n"))
    assert complaint.title not in [one.title for one in agreement.steps(by_docker, by_docker.founder)]


# --- several masters with Docker: all that runs in it stops with it


def three(**of: Facts) -> Cluster:
    """Three masters with Docker; those of whom nothing else is said are well."""
    wanted = three_masters()
    made = cluster(wanted.model_copy(update={"cluster": wanted.cluster.model_copy(update={"runtime": "docker"})}))
    made._alone.update({name: serving(name) for name in M} | of)
    return made


def serving(name: str, **said: Any) -> Facts:
    """A master that serves, whose Docker runs with an older configuration."""
    own: dict[str, Any] = {"admin_ca": "aaa", "kubelet_ca": "aaa", "readyz": "ok", "mtimes": {DAEMON: 101}}
    own |= {"member": Member(IDS[name], 9, IDS["m1"]), "membership": tuple(Known(IDS[one], one) for one in M)}
    return with_(DOCKER_WELL, name=name, cluster=ClusterFacts("m1"), **{**own, **said})


def titles(steps: Sequence[Step]) -> list[str]:
    return [one.title for one in steps]


def test_masters_that_serve_restart_docker_one_by_one_each_well_again_before_the_next() -> None:
    made = three()
    for host in made.masters:
        first, *between, last = titles(runtime.in_turn(made, host))
        assert first == "etcd can do without this master for a moment"
        assert between == titles(runtime.steps(made, host))
        assert last == "the API server is healthy"
        assert runtime.at_once(made, host) == []


@pytest.mark.parametrize(
    "facts",
    [
        serving("m1", mtimes={}),
        serving("m1", readyz="", member=None),  # it serves nothing, and others may wait for it
        serving("m1", units={}),
        serving("m1", admin_ca=""),
    ],
    ids=["well", "silent", "stopped", "no master"],
)
def test_where_nothing_is_lost_by_it_no_master_waits_for_another(facts: Facts) -> None:
    made = three(m1=facts)
    host = made.hosts["m1"]
    assert runtime.in_turn(made, host) == []
    assert titles(runtime.at_once(made, host)) == titles(runtime.steps(made, host))


def test_a_master_whose_etcd_votes_waits_for_its_turn_though_its_api_server_is_away() -> None:
    """Two at once, and the one that serves would have lost the quorum."""
    made = three(m2=serving("m2", readyz="refused"), m3=serving("m3", readyz="refused"))
    for host in made.masters:
        assert titles(runtime.in_turn(made, host))[-1] == "the API server is healthy"


def test_a_master_of_whose_etcd_nothing_is_known_waits_for_its_turn() -> None:
    untold = serving("m2", readyz="refused")
    made = three(m2=replace(untold, parts={**untold.parts, "etcd": Untold("ss: Cannot open netlink socket")}))
    host = made.hosts["m2"]
    assert titles(runtime.in_turn(made, host))[-1] == "the API server is healthy"
    assert runtime.at_once(made, host) == []


def test_two_masters_take_turns_too_while_both_answer() -> None:
    """They bear the loss of none, and for a moment each is away: in turn is all that can be done."""
    members = tuple(Known(IDS[one], one) for one in M[:2])
    made = three(m1=serving("m1", membership=members), m2=serving("m2", membership=members))
    made._alone["m3"] = with_(DOCKER_WELL, name="m3", cluster=ClusterFacts("m1"))
    first, *_ = runtime.in_turn(made, made.hosts["m1"])
    assert first.gap(made.facts(made.hosts["m1"])) is None
    made._alone["m2"] = serving("m2", membership=members, member=None)
    assert first.gap(made.facts(made.hosts["m1"])) is None  # it has no quorum that could be lost


def test_workers_and_one_master_alone_wait_for_nobody() -> None:
    made = three()
    assert runtime.in_turn(made, made.hosts["client"]) == []
    alone = cluster(DOCKER)
    alone._alone["manager"] = replace(serving("m1"), name="manager")
    assert runtime.in_turn(alone, alone.founder) == []
    plain = cluster(three_masters())
    plain._alone["m1"] = serving("m1")
    assert runtime.in_turn(plain, plain.hosts["m1"]) == []


def test_docker_is_not_restarted_where_etcd_would_lose_its_quorum() -> None:
    made = three(m2=serving("m2", member=None))
    bears = runtime.in_turn(made, made.hosts["m1"])[0]
    assert bears.close is None
    assert bears.within
    assert bears.gap(made.facts(made.hosts["m1"])) == "of etcd's 3 members 1 would answer, and it needs 2"
    assert bears.gap(three().facts(made.hosts["m1"])) is None
