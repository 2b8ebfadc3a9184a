"""Docker Engine, with cri-dockerd between it and the kubelet. Five minutes."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.packages import cri_dockerd
from lab.services import WWW
from lab.settings import CRI_DOCKERD, GATEWAY

from .harness import (
    GUIDES,
    MASTER,
    WORKER,
    Done,
    Kubefab,
    Words,
    coredns_answers,
    fresh,
    guides_overlays,
    has_the_guides_arguments,
    hosts_file,
    kubectl,
    nodes,
    on,
    ready_nodes,
    reboot,
    true_on,
    untouched,
)

PAIR = (MASTER, WORKER)
MIRROR = {"https://github.com/Mirantis/cri-dockerd/releases/download/": f"http://{GATEWAY}:8080/pkgs/cri-dockerd/"}
TOOLS = f"{GATEWAY}:5000/lab/tools:1"


@dataclass(frozen=True)
class Story:
    hosts: Path
    typo: Done
    made_by_typo: bool
    up: Done


def docker_hosts(path: Path, documents: Words) -> Path:
    sha256 = hashlib.sha256((WWW / "pkgs" / cri_dockerd()).read_bytes()).hexdigest()
    cluster = {
        "runtime": "docker",
        "cri_dockerd": {"version": CRI_DOCKERD, "sha256": sha256},
        "kubeadm": guides_overlays(documents),
    }
    return hosts_file(path, *PAIR, cluster=cluster, mirrors=MIRROR)


@pytest.fixture(scope="module")
def story(inv: Kubefab) -> Iterator[Story]:
    """On machines as new; the first time with a key in hosts.yml that kubeadm does not know."""
    fresh(*PAIR)
    hosts = docker_hosts(inv.state / "docker.yml", GUIDES)
    typo = inv("init-master", hosts=docker_hosts(inv.state / "typo.yml", {"apiServer": {"extraArg": {"v": 2}}}))
    made = true_on(MASTER, "ls /etc/kubernetes/pki /var/lib/etcd /etc/kubernetes/manifests/* /var/lib/kubefab")
    yield Story(hosts, typo, made, inv("cluster.up", hosts=hosts))
    fresh(*PAIR)


def test_a_key_that_kubeadm_does_not_know_is_an_error_before_it_makes_anything(story: Story) -> None:
    assert 'unknown field "apiServer.extraArg"' in story.typo.badly().stderr
    assert not story.made_by_typo


def test_a_cluster_on_docker_comes_up(story: Story) -> None:
    story.up.well()
    assert ready_nodes() == set(PAIR)
    assert coredns_answers()
    runtimes = {node["status"]["nodeInfo"]["containerRuntimeVersion"].partition(":")[0] for node in nodes().values()}
    assert runtimes == {"docker"}


def test_docker_is_set_up_as_the_guide_has_it(story: Story) -> None:
    for host in PAIR:
        info = json.loads(on(host, "docker info --format '{{json .}}'"))
        assert (info["CgroupDriver"], info["LoggingDriver"], info["Driver"]) == ("systemd", "json-file", "overlay2")
        pause = on(host, "docker ps --quiet --filter name=k8s_POD | head -n 1").strip()
        assert "max-size:100m" in on(host, f"docker inspect --format '{{{{.HostConfig.LogConfig}}}}' {pause}")


def test_the_guides_arguments_arrive_in_the_static_pods(story: Story) -> None:
    has_the_guides_arguments()


def test_a_second_up_on_docker_changes_nothing(story: Story, inv: Kubefab) -> None:
    with untouched(*PAIR):
        assert "nothing to do" in inv("cluster.up", hosts=story.hosts).well().stdout


def test_a_pod_on_docker_finds_names_by_the_clusters_dns(story: Story) -> None:
    words = ("run", "asker", f"--image={TOOLS}", "--restart=Never", "--command", "--", "sleep", "600")
    kubectl(*words)
    kubectl("wait", "--for=condition=Ready", "pod/asker", "--timeout=60s")
    assert "10.96.0.1" in kubectl("exec", "asker", "--", "getent", "hosts", "kubernetes.default")
    kubectl("delete", "pod", "asker", "--now")


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
