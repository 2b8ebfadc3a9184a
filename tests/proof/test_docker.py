"""Docker Engine, with cri-dockerd between it and the kubelet; and out of a bundle."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lab.settings import GATEWAY
from tests.e2e.harness import (
    GUIDES,
    MASTER,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    coredns_answers,
    cut_off,
    eventually,
    fresh,
    has_the_guides_arguments,
    kubectl,
    on,
    ready_nodes,
    reboot,
    true_on,
    untouched,
)

from .dockers import docker_hosts, runtimes

COVERS = (
    "tests/proof/dockers.py",
    "kubefab/steps/docker.py",
    "kubefab/runtimes.py",
    "kubefab/carry.py",
    "files/etc/docker/*",
    "scripts/*docker*",
)

PAIR = (MASTER, WORKER)
TOOLS = f"{GATEWAY}:5000/lab/tools:1"
ELSEWHERE = "elsewhere/tools:2"


@dataclass(frozen=True)
class Story:
    hosts: Path
    typo: Done
    made_by_typo: bool
    up: Done


DAEMON = "/etc/docker/daemon.json"
THEIRS = {"data-root": "/var/lib/docker/mine", "shutdown-timeout": 20}  # of somebody who was there before


@pytest.fixture(scope="module")
def story(inv: Kubefab) -> Iterator[Story]:
    """On machines as new; the first time with a key in hosts.yml that kubeadm does not know."""
    fresh(*PAIR)
    hosts = docker_hosts(inv.state / "docker.yml", GUIDES)
    typo = inv("init-master", hosts=docker_hosts(inv.state / "typo.yml", {"apiServer": {"extraArg": {"v": 2}}}))
    made = true_on(MASTER, "ls /etc/kubernetes/pki /var/lib/etcd /etc/kubernetes/manifests/* /var/lib/kubefab")
    on(WORKER, f"mkdir -p /etc/docker; echo '{json.dumps(THEIRS)}' >{DAEMON}")
    yield Story(hosts, typo, made, inv("cluster.up", hosts=hosts))
    fresh(*PAIR)


def test_a_key_that_kubeadm_does_not_know_is_an_error_before_it_makes_anything(story: Story) -> None:
    assert 'unknown field "apiServer.extraArg"' in story.typo.badly().stderr
    assert not story.made_by_typo


def test_a_cluster_on_docker_comes_up(story: Story) -> None:
    story.up.well()
    assert ready_nodes() == set(PAIR)
    assert coredns_answers()
    assert runtimes() == {"docker"}


def test_docker_is_set_up_as_the_guide_has_it(story: Story) -> None:
    for host in PAIR:
        info = json.loads(on(host, "docker info --format '{{json .}}'"))
        assert (info["CgroupDriver"], info["LoggingDriver"], info["Driver"]) == ("systemd", "json-file", "overlay2")
        pause = on(host, "docker ps --quiet --filter name=k8s_POD | head -n 1").strip()
        assert "max-size:100m" in on(host, f"docker inspect --format '{{{{.HostConfig.LogConfig}}}}' {pause}")


def test_what_somebody_told_docker_before_is_still_told(story: Story) -> None:
    assert on(WORKER, "docker info --format '{{.DockerRootDir}}'").strip() == THEIRS["data-root"]
    assert json.loads(on(WORKER, f"cat {DAEMON}")).items() >= THEIRS.items()
    assert json.loads(on(WORKER, f"cat {DAEMON}.before-kubefab")) == THEIRS


def test_the_guides_arguments_arrive_in_the_static_pods(story: Story) -> None:
    has_the_guides_arguments()


def test_a_second_up_on_docker_changes_nothing(story: Story, inv: Kubefab) -> None:
    with untouched(*PAIR):
        assert "nothing to do" in inv("cluster.up", hosts=story.hosts).well().stdout


def test_a_pod_on_docker_finds_names_by_the_clusters_dns(story: Story) -> None:
    words = ("run", "asker", f"--image={TOOLS}", "--restart=Never", "--command", "--", "sleep", "600")
    kubectl(*words)
    kubectl("wait", "--for=condition=Ready", "pod/asker", "--timeout=180s")
    assert "10.96.0.1" in kubectl("exec", "asker", "--", "getent", "hosts", "kubernetes.default")
    kubectl("delete", "pod", "asker", "--now")


@dataclass(frozen=True)
class Bundled:
    """A third machine, that had nothing but a bundle of what the cluster of the other two is made of."""

    hosts: Path
    up: Done
    three: Path


@pytest.fixture(scope="module")
def bundled(story: Story, inv: Kubefab) -> Iterator[Bundled]:
    file = inv.state / "docker.bundle"
    inv("bundle.make", "--output", str(file), hosts=story.hosts).well()
    fresh(SPARE)
    cut_off(SPARE)
    hosts = docker_hosts(inv.state / "bundled.yml", {}, SPARE)
    document = yaml.safe_load(hosts.read_text())
    del document["mirrors"]
    hosts.write_text(yaml.safe_dump(document | {"bundle": file.name}))
    three = docker_hosts(inv.state / "three-on-docker.yml", GUIDES, *PAIR, SPARE)
    yield Bundled(hosts, inv("cluster.up", hosts=hosts), three)
    fresh(SPARE)
    file.unlink()


def images(host: str) -> set[str]:
    return set(on(host, "docker images --format '{{.Repository}}:{{.Tag}}'").split())


def test_a_cluster_on_docker_comes_up_from_a_bundle_alone(bundled: Bundled) -> None:
    bundled.up.well()
    assert ready_nodes(SPARE) == {SPARE}
    assert eventually(lambda: coredns_answers(SPARE))
    assert on(SPARE, "apt-cache policy docker.io docker-cli").count("file:/var/lib/kubefab-bundle/packages") == 2
    assert not any(GATEWAY in one for one in images(SPARE))


def test_a_second_up_from_it_changes_nothing(bundled: Bundled, inv: Kubefab) -> None:
    with untouched(SPARE):
        assert "nothing to do" in inv("cluster.up", hosts=bundled.hosts).well().stdout


def test_docker_is_given_an_image_that_it_cannot_pull(bundled: Bundled, inv: Kubefab) -> None:
    words = ("images.preload", "--image", TOOLS, "--host", SPARE)
    inv(*words, hosts=bundled.three).well()
    assert TOOLS in images(SPARE)
    assert "nothing to do" in inv(*words, hosts=bundled.three).well().stdout


def test_docker_is_given_a_file_as_the_guide_saves_it(bundled: Bundled, inv: Kubefab, tmp_path: Path) -> None:
    text = on(
        WORKER, f"docker pull -q {TOOLS} >&2; docker tag {TOOLS} {ELSEWHERE}; docker save {ELSEWHERE} | gzip | base64"
    )
    file = tmp_path / "tools.tar.gz"
    subprocess.run(["base64", "-d"], input=text.encode(), stdout=file.open("wb"), check=True)
    words = ("images.preload", "--from", str(file), "--host", SPARE)
    inv(*words, hosts=bundled.three).well()
    assert ELSEWHERE in images(SPARE)
    assert "nothing to do" in inv(*words, hosts=bundled.three).well().stdout


def test_two_sockets_on_one_host_confuse_nobody(story: Story) -> None:
    for host in PAIR:
        on(host, "test -S /run/containerd/containerd.sock && test -S /run/cri-dockerd.sock")
        assert "unix:///run/cri-dockerd.sock" in on(host, "cat /var/lib/kubelet/instance-config.yaml")


def test_a_nodes_runtime_is_not_changed_and_the_way_to_do_it_is_told(story: Story, inv: Kubefab) -> None:
    with untouched(*PAIR):
        said = inv("cluster.up").badly().stderr
    assert "/run/cri-dockerd.sock, not /run/containerd/containerd.sock" in said
    assert "inv cluster.reset" in said


def test_after_a_reboot_docker_and_the_node_come_back(story: Story, inv: Kubefab) -> None:
    reboot(WORKER)
    inv("fix-reboot", hosts=story.hosts).well()
    assert ready_nodes() == set(PAIR)


def test_a_reset_leaves_nothing_of_kubernetes_and_what_else_runs_in_docker(story: Story, inv: Kubefab) -> None:
    on(WORKER, f"docker run --detach --name mine {TOOLS} sleep 3600")
    inv("cluster.reset", "--yes", hosts=story.hosts).well()
    for host in PAIR:
        assert on(host, "docker ps --all --format '{{.Names}}' --filter name=^/k8s_") == ""
    assert on(WORKER, "docker ps --format '{{.Names}}'").split() == ["mine"]


def test_hosts_that_have_both_runtimes_can_then_be_a_cluster_on_the_other(story: Story, inv: Kubefab) -> None:
    inv("cluster.up").well()
    assert ready_nodes() == set(PAIR)
    assert "nothing to do" in inv("cluster.up").well().stdout
