"""The dashboard, looked at as a person would: a browser, through the tunnel.

What the lab can serve in its place says on its page that it is a stand-in.
"""

import json
import re
import signal
import subprocess
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import requirements
from lab.report import Report
from lab.settings import LOGS
from tests.e2e.harness import (
    MASTER,
    WORKER,
    Kubefab,
    Running,
    address,
    at_a_terminal,
    eventually,
    hosts_file,
    kubectl,
    mended,
    on,
    poll,
)

COVERS = (
    "kubefab/tunnel.py",
    "kubefab/addons/headlamp.py",
    "kubefab/addons/kubernetes_dashboard.py",
    "scripts/mint-login.sh",
)

URL = re.compile(r"https?://localhost:[0-9]+/")
TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")  # of a service account


@pytest.fixture(scope="module")
def dashboard(inv: Kubefab) -> Iterator[Kubefab]:
    """A cluster with a dashboard that hosts.yml does not name."""
    mended(inv)
    yield inv
    inv("addon.remove", "--name", "headlamp", "--yes").well()


@pytest.fixture(scope="module")
def chromium() -> str:
    """Debian's, installed as the lab's own tools are."""
    requirements.install(Report(), LOGS / "apt.log", {"chromium": "chromium"})
    return "chromium"


def shown(chromium: str, url: str, folder: Path) -> str:
    """The page as a browser has it in the end."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", f"--user-data-dir={folder}"]
    words = [chromium, *flags, "--timeout=20000", "--dump-dom", url]
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False).stdout


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def url_of(run: Running) -> str:
    assert poll(lambda: URL.search(run.said()), 240), run.said()
    found = URL.search(run.said())
    assert found
    return found[0]


def hang_up(run: Running) -> None:
    """The SSH connection of this very run is lost, as by a server that was restarted."""
    words = ["ss", "-Htnp", "state", "established", f"dst {address(MASTER)}:22"]
    all_of_them = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    (mine,) = [line for line in all_of_them if f"pid={run.process.pid}," in line]
    local = mine.split()[2].rpartition(":")[2]
    theirs = on(MASTER, f"ss -Htnp state established 'sport = :22 and dport = :{local}'")
    on(MASTER, "kill " + " ".join(sorted(set(re.findall("pid=([0-9]+)", theirs)))))


def test_a_browser_sees_it_through_the_tunnel_even_after_the_connection_was_lost(
    dashboard: Kubefab, chromium: str, tmp_path: Path
) -> None:
    with dashboard.started("dashboard", "--open") as run:
        url = url_of(run)
        assert "This is a stand-in for headlamp" in shown(chromium, url, tmp_path)
        hang_up(run)
        assert "This is a stand-in for headlamp" in shown(chromium, url, tmp_path)
        # Whoever looks on does not keep others from their work.
        assert "nothing to do" in dashboard("cluster.up").well().stdout
        run.is_told(signal.SIGINT)
        assert run.ends().status == 0


def test_a_token_of_an_hour_is_printed_to_a_terminal(dashboard: Kubefab) -> None:
    status, said = at_a_terminal(dashboard, "dashboard")
    assert status == 0, said
    (token,) = set(TOKEN.findall(said))
    assert claims(token)["exp"] - time.time() <= 3600
    header = f'header = "Authorization: Bearer {token}"'
    nodes = on(MASTER, "curl -sk -K - https://localhost:6443/api/v1/nodes", header)
    assert len(json.loads(nodes)["items"]) == 2
    assert not TOKEN.search(dashboard.logs()[-1].read_text())


def test_a_pipe_gets_no_token(dashboard: Kubefab) -> None:
    done = dashboard("dashboard").well()
    assert not TOKEN.search(done.said)
    assert "only to a terminal" in done.stdout


def test_it_does_not_run_on_the_master(dashboard: Kubefab) -> None:
    dashboard("dashboard").well()
    where = "jsonpath={.items[*].spec.nodeName}"
    assert kubectl("get", "pods", "-n", "kube-system", "-l", "k8s-app=headlamp", "-o", where) == WORKER


def test_the_guides_dashboard_where_hosts_yml_asks_for_it(dashboard: Kubefab, chromium: str, tmp_path: Path) -> None:
    named = {"addons": ["flannel", "kubernetes-dashboard@2.0.0"]}
    hosts = hosts_file(tmp_path / "hosts.yml", MASTER, WORKER, cluster=named)
    try:
        with dashboard.started("dashboard", "--open", hosts=hosts) as run:
            url = url_of(run)
            assert "documented for Kubernetes 1.15 to 1.18, and this is 1.37" in run.said()
            assert url.startswith("https://")
            assert "This is a stand-in for dashboard" in eventually(lambda: shown(chromium, url, tmp_path / "browser"))
    finally:
        dashboard("addon.remove", "--name", "kubernetes-dashboard", "--yes").well()
    assert kubectl("get", "namespaces", "-o", "name").count("kubernetes-dashboard") == 0
