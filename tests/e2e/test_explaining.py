"""What a running cluster is made of, told as it is."""

import re
from datetime import UTC, datetime, timedelta
from json import loads
from typing import Any

import pytest

from .harness import MASTER, TOKEN, WORKER, Kubefab, attempt, kubectl, logins, mended, on, untouched


@pytest.fixture(scope="module")
def told(inv: Kubefab) -> dict[str, Any]:
    mended(inv)
    with untouched(MASTER, WORKER):
        found: dict[str, Any] = loads(inv("cluster.explain", "--json").well().stdout)
    return found


def test_certificates_end_when_openssl_says_so(told: dict[str, Any]) -> None:
    files = {one["file"]: one for one in told["certificates"]}
    assert set(files) == set(on(MASTER, "ls /etc/kubernetes/pki/*.crt /etc/kubernetes/pki/etcd/*.crt").split())
    for file, one in files.items():
        said = on(MASTER, f"openssl x509 -in {file} -noout -enddate").strip().removeprefix("notAfter=")
        end = datetime.strptime(said, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
        assert datetime.fromisoformat(one["expires"]) == end


def test_every_conf_says_whom_it_serves(told: dict[str, Any]) -> None:
    serves = {one["file"]: one for one in told["confs"]}
    assert set(serves) == set(on(MASTER, "ls /etc/kubernetes/*.conf").split())
    assert all(one["serves"] for one in told["confs"])
    assert serves["/etc/kubernetes/kubelet.conf"]["subject"] == f"system:node:{MASTER}"
    assert serves["/etc/kubernetes/admin.conf"]["subject"] == "kubernetes-admin"


def test_static_pods_addons_and_taints_are_those_of_the_cluster(told: dict[str, Any]) -> None:
    assert {one["file"] for one in told["static_pods"]} == set(on(MASTER, "ls /etc/kubernetes/manifests/*").split())
    addons = {one["name"]: one for one in told["addons"]}
    assert addons["kube-system/coredns"]["ready"] == addons["kube-system/coredns"]["wanted"] == 2
    taints = {one["node"]: one["taints"] for one in told["taints"]}
    assert taints == {MASTER: {"node-role.kubernetes.io/control-plane": "NoSchedule"}, WORKER: {}}


def test_cluster_info_trusts_the_cluster(told: dict[str, Any]) -> None:
    assert told["cluster_info"]["trusts_this_ca"] is True


def test_a_token_is_told_by_its_id_and_its_end_and_its_secret_is_not(inv: Kubefab, told: dict[str, Any]) -> None:
    """The harness looks at every output for whole tokens; here the secret's half alone is looked for."""
    create = "kubeadm token create --ttl 5m --description by-hand --kubeconfig /etc/kubernetes/admin.conf"
    token, secret = on(MASTER, create).strip().split(".")
    assert TOKEN.search(f"{token}.{secret}")
    try:
        as_json = inv("cluster.explain", "--json").well().stdout
        (one,) = [one for one in loads(as_json)["tokens"] if one["id"] == token]
        assert one["description"] == "by-hand"
        assert datetime.fromisoformat(one["expires"]) - datetime.now(UTC) < timedelta(minutes=5)
        as_tree = inv("cluster.explain").well().stdout
        assert re.search(rf"{token}\..*by-hand; until ", as_tree)
        assert secret not in as_json + as_tree
    finally:
        kubectl("delete", "secret", "-n", "kube-system", f"bootstrap-token-{token}")


def test_nobody_but_the_master_is_asked_and_nothing_is_logged(inv: Kubefab, told: dict[str, Any]) -> None:
    before, logs = logins(WORKER), inv.logs()
    inv("cluster.explain").well()
    assert (logins(WORKER), inv.logs()) == (before, logs)


def test_without_a_control_plane_it_says_what_makes_one(inv: Kubefab, told: dict[str, Any]) -> None:
    attempt(MASTER, "mv /etc/kubernetes/admin.conf /etc/kubernetes/admin.conf.away")
    try:
        assert "inv cluster.up" in inv("cluster.explain").badly().stderr
    finally:
        on(MASTER, "mv /etc/kubernetes/admin.conf.away /etc/kubernetes/admin.conf")
