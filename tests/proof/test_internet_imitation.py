"""A lab whose Kubernetes comes from the internet, against an imitation of it (tests/proof/imitation.py). Four minutes.

Proven: the choice, by asking; that nothing is built then; a cluster without mirrors, from the paths that the public
names have. Not proven: that the public names have all of it today, their redirections and tokens, how long it takes.
"""

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lab import network, packages, services
from lab.settings import GATEWAY, HOSTS, STATE
from tests.authority import Authority
from tests.e2e import harness
from tests.e2e.harness import (
    MASTER,
    ROOT,
    WORKER,
    Done,
    Kubefab,
    coredns_answers,
    eventually,
    lab,
    on,
    ready_nodes,
    true_on,
    untouched,
)
from tests.proof.imitation import by_name, imitated

COVERS = (
    "lab/hosts.py",
    "lab/internet.py",
    "lab/lab.py",
    "lab/origin.py",
    "kubefab/mirrors.py",
    "tests/authority.py",
    "tests/proof/imitation.py",
)

PAIR = (MASTER, WORKER)
NAMES = ("pkgs.k8s.io", "raw.githubusercontent.com", "registry.k8s.io", "ghcr.io")
MIRRORS = by_name(yaml.safe_load((ROOT / "hosts.yml").read_text())["mirrors"])


def runner(folder: Path, authority: Authority) -> Path:
    """`inv` on a computer with an empty cache, that believes the authority and finds the names at the lab."""
    told = {"address": GATEWAY, "names": NAMES, "key": (packages.KEYS / "fingerprint").read_text().strip()}
    believed = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), authority.certificate)
    env = {"IMITATION": json.dumps(told), "XDG_CACHE_HOME": folder / "cache", **believed}
    env["GOPROXY"] = "off"  # whatever were built would fail at once
    words = ["env", "-u", "LAB_FROM", *(f"{name}={value}" for name, value in env.items())]
    script = folder / "inv"
    script.write_text(f'#!/bin/sh\nexec {shlex.join([*words, sys.executable, "-m", "tests.proof.imitation"])} "$@"\n')
    script.chmod(0o755)
    return script


def believe(host: str, authority: Authority) -> None:
    """As on a machine of somebody whose internet this is."""
    on(host, f"echo '{GATEWAY} {' '.join(NAMES)}' >>/etc/hosts")
    place = "/usr/local/share/ca-certificates/imitation.crt"
    on(host, f"cat >{place}; update-ca-certificates", stdin=authority.certificate.read_text())


@dataclass(frozen=True)
class Story:
    inv: Kubefab
    cache: Path
    asked: list[str]  # of the imitation, so far
    by_choice: list[str]  # and until the lab was up
    lab: Done
    up: Done


@pytest.fixture(scope="module")
def story(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A new lab: only the computer's network and the servers that the imitation is made of are there before it."""
    folder = tmp_path_factory.mktemp("imitation")
    authority = Authority(folder, "imitation of the internet's authorities, of kubefab's tests")
    lab("lab.down")
    STATE.mkdir()
    network.ensure()
    services.ensure()
    inv = Kubefab(HOSTS, folder)
    with pytest.MonkeyPatch.context() as patch, imitated(GATEWAY, authority, MIRRORS) as asked:
        patch.setattr(harness, "INV", runner(folder, authority))
        made = inv("lab.up").well()
        by_choice = list(asked)
        for host in PAIR:
            believe(host, authority)
        yield Story(inv, folder / "cache/kubefab-lab", asked, by_choice, made, inv("cluster.up"))
    lab("lab.down")


def test_an_imitation_of_the_internet_is_chosen_by_asking_each_name_once(story: Story) -> None:
    assert f"Kubernetes comes from the internet: {', '.join(NAMES)} answer" in story.lab.stdout
    assert sorted(url.split("/")[2] for url in story.by_choice) == sorted(NAMES)


def test_nothing_but_the_machines_image_is_made(story: Story) -> None:
    assert {path.name for path in story.cache.iterdir()} - {"unfinished"} == {"machine"}


def test_the_labs_hosts_file_has_no_mirrors_and_the_checkouts_stays(story: Story) -> None:
    mine = yaml.safe_load((ROOT / "hosts.yml").read_text())
    assert mine.pop("mirrors")
    assert yaml.safe_load(HOSTS.read_text()) == mine


def test_a_cluster_comes_up_from_the_imitation_without_mirrors(story: Story) -> None:
    story.up.well()
    assert ready_nodes() == set(PAIR)
    assert coredns_answers()


@pytest.mark.parametrize("host", PAIR)
def test_nothing_on_its_machines_names_the_lab(story: Story, host: str) -> None:
    assert "https://pkgs.k8s.io/" in on(host, "cat /etc/apt/sources.list.d/kubernetes.list")
    assert not true_on(host, f"grep -r {GATEWAY}: /etc/apt /etc/containerd")


def test_what_was_asked_is_what_later_came_from_there(story: Story) -> None:
    """The choice asks nothing that a cluster does not ask, but for the kind of request."""
    assert set(story.by_choice) <= set(story.asked[len(story.by_choice) :])


def test_a_second_up_changes_nothing(story: Story) -> None:
    with untouched(*PAIR):
        assert "nothing to do" in story.inv("cluster.up").well().stdout


@pytest.mark.parametrize("hosts", [HOSTS, ROOT / "hosts.yml"])
def test_its_status_is_good_by_the_checkouts_hosts_yml_too(story: Story, hosts: Path) -> None:
    assert eventually(lambda: not story.inv("cluster.status", hosts=hosts).status)


def test_a_lab_from_the_internet_stays_one_and_nobody_is_asked_again(story: Story) -> None:
    before = len(story.asked)
    again = story.inv("lab.up").well()
    assert "Kubernetes comes from the internet: so it was when this lab was made" in again.stdout
    assert len(story.asked) == before
