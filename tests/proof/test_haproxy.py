"""What a worker's haproxy is told, taken by a real one in front of masters that are imitated. It wants no machine."""

import json
import sys
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from kubefab import render
from tests import sandbox
from tests.authority import Authority
from tests.e2e.harness import MEASURED
from tests.fakes import three_masters
from tests.proof.own_haproxy import program

COVERS = ("files/etc/kubefab/endpoint.cfg.j2",)
AIM = 3.0  # seconds that a gap in writing may have
USER = "echo haproxy:x:99:99::/:/bin/false >>/etc/passwd\necho haproxy:x:99: >>/etc/group\nrm /mnt/bin/ip\n"
LOST = ("API server", "etcd", "network", "network, after a reload", "API server, with no anonymous requests")
PROGRAM = Path(__file__).with_name("imitated_masters.py")


def configuration() -> str:
    """For masters at 127.0.0.11 and the addresses after it."""
    *masters, worker = three_masters().hosts
    here = [one.model_copy(update={"address": IPv4Address(f"127.0.0.{n}")}) for n, one in enumerate(masters, 11)]
    return render.haproxy(three_masters().model_copy(update={"hosts": (*here, worker)}))


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("haproxy")
    authority = Authority(folder, "kubernetes")
    authority.server(["kubernetes"])
    files = sandbox.file(render.ENDPOINT, configuration())
    files += sandbox.file(render.AUTHORITY, authority.certificate.read_text())
    haproxy = f"stub haproxy 'exec {program(tmp_path_factory.mktemp('debian'))} \"$@\"'\n"
    found: dict[str, float] = json.loads(
        sandbox.run(f"{USER}{haproxy}{files}{sys.executable} {PROGRAM} {render.ENDPOINT} {folder}/kubernetes.pem")
    )
    return found


@sandbox.needed
@pytest.mark.parametrize("lost", LOST)
def test_whoever_waits_for_an_answer_is_soon_led_to_another_master(gaps: dict[str, float], lost: str) -> None:
    MEASURED.append((f"no gap behind haproxy: {lost}", AIM, gaps[lost]))
    assert gaps[lost] < 3 * AIM
