"""The proxy of hosts.yml, and none of an earlier one."""

import pytest

from kubefab import render
from kubefab.facts import Unit
from kubefab.step import MISSING, sha256
from kubefab.steps import proxy, runtime
from tests.facts import known
from tests.fakes import HOSTS, cluster, inventory, step

PROXIED = f"{HOSTS}proxy: http://10.0.0.1:3128\n"
WITH = {path: sha256(text) for path, text in render.proxy(inventory(PROXIED)).items()}
WITHOUT = {path: sha256(text) for path, text in render.proxy(inventory()).items()}
RUNS = {"containerd": Unit("active", "enabled", since=100)}


@pytest.mark.parametrize(
    ("text", "files", "gap"),
    [
        (PROXIED, {}, MISSING),
        (PROXIED, WITH, None),
        (PROXIED, WITH | {render.PROXY: "0"}, f"{render.PROXY} differs"),
        (HOSTS, {}, None),
        (HOSTS, WITHOUT, None),
        (HOSTS, WITH, f"{render.PROXY}, /etc/apt/apt.conf.d/90kubefab-proxy differs"),
    ],
)
def test_the_hosts_know_the_proxy_of_hosts_yml_and_no_other(text: str, files: dict[str, str], gap: str | None) -> None:
    made = cluster(text)
    (only,) = proxy.steps(made, made.founder)
    assert only.gap(known(digests=files)) == gap


def test_the_proxy_is_known_before_anything_is_fetched() -> None:
    made = cluster(PROXIED)
    assert runtime.steps(made, made.founder)[0].title == "the proxy is configured"


def test_a_runtime_older_than_its_proxy_is_started_again() -> None:
    made = cluster(PROXIED)
    runs = step(runtime.steps(made, made.founder), "containerd runs")
    assert runs.gap(known(units=RUNS, mtimes={render.PROXY: 101})) == "runs with an older configuration"


def test_kubeadm_finds_the_variables_of_the_proxy_in_a_file() -> None:
    made = inventory(f"{HOSTS}proxy: {{http: 'http://10.0.0.1:1', https: 'http://10.0.0.1:2'}}\n")
    assert render.environment(made) == {
        "HTTP_PROXY": "http://10.0.0.1:1",
        "HTTPS_PROXY": "http://10.0.0.1:2",
        "NO_PROXY": ",".join(render.no_proxy(made)),
    }
    assert render.environment(inventory()) == {}


def test_this_cluster_is_never_reached_by_the_proxy() -> None:
    found = render.no_proxy(inventory(PROXIED))
    assert {"localhost", "127.0.0.1", "manager", "10.250.0.10", "client", "10.250.0.11"} <= set(found)
    assert {"lab.kubefab.internal", "10.244.0.0/16", "10.96.0.0/12", ".svc", ".cluster.local"} <= set(found)
