"""Which version something has come to."""

import pytest
from packaging.version import Version

from kubefab.facts import Node, Package
from kubefab.steps import versions
from tests.facts import known, with_
from tests.steps.test_upgrade import host, master


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("registry.k8s.io/kube-proxy:v1.37.2", "1.37.2"),
        ("near:5000/etcd:3.6.8-0", "3.6.8-0"),
        (f"near:5000/kube-proxy:v1.37.2@sha256:{64 * 'a'}", "1.37.2"),
        ("near:5000/kube-proxy", ""),
        (f"near:5000/kube-proxy@sha256:{64 * '1'}", ""),
    ],
)
def test_a_tag_is_neither_a_port_nor_a_digest(image: str, tag: str) -> None:
    assert versions.tag(image) == tag


@pytest.mark.parametrize(("deb", "upstream"), [("1:1.37.2~rc1-1.1", "1.37.2"), ("1.37.2-1.1", "1.37.2"), ("", "0")])
def test_a_packages_version_is_told_without_debians_own_parts(deb: str, upstream: str) -> None:
    assert versions.upstream(deb) == Version(upstream)


def test_the_older_one_of_what_runs_and_what_is_installed_is_a_kubelets_version() -> None:
    running = Node("client", version="1.37.1", address="10.250.0.11")
    assert versions.kubelet(host("client", "1.37.2", node=running)) == Version("1.37.1")
    removed = with_(host("client", node=running), debs={"kubelet": Package("rc", "1.36.0-1.1")})
    assert versions.kubelet(removed) == Version("1.37.1")


def test_a_host_without_a_kubelet_has_none_that_is_old() -> None:
    assert versions.behind(known("client"), "1.37.2") == []


def test_a_version_that_nobody_knows_is_told_as_that() -> None:
    facts = master("1.37.2", static={"kube-scheduler.yaml": f"near:5000/kube-scheduler@sha256:{64 * '1'}"})
    assert versions.behind(facts, "1.37.2") == ["kube-scheduler of no known version"]


def test_all_that_is_older_is_named() -> None:
    assert versions.behind(master(), "1.37.2") == [*(f"{name} 1.37.1" for name in versions.STATIC), "kubelet 1.37.1"]
