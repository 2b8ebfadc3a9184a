"""Where a lab's Kubernetes comes from, and the hosts.yml that says so."""

import os
from pathlib import Path

import pytest
import yaml

from kubefab import inventory
from lab import hosts, origin, settings
from lab import lab as whole
from lab.origin import INTERNET, SOURCE, answered, settled

ROOT = Path(__file__).parent.parent
GOOD = {"pkgs.example": "", "images.example": ""}


def test_all_must_answer_for_the_internet_to_be_taken() -> None:
    chosen = answered(GOOD)
    assert chosen.internet
    assert str(chosen) == "Kubernetes comes from the internet: pkgs.example, images.example answer"


def test_who_was_silent_is_said() -> None:
    chosen = answered(GOOD | {"images.example": "Connection refused", "ghcr.example": "no answer in 5 s"})
    assert not chosen.internet
    assert str(chosen).endswith(": images.example (Connection refused); ghcr.example (no answer in 5 s)")


@pytest.mark.parametrize("told", [SOURCE, INTERNET])
@pytest.mark.parametrize("before", ["", SOURCE, INTERNET])
@pytest.mark.parametrize("built", [True, False])
def test_lab_from_decides_by_hand(told: str, before: str, built: bool) -> None:
    chosen = settled(told, before, "", built)
    assert chosen
    assert chosen.name == told


@pytest.mark.parametrize("before", [SOURCE, INTERNET])
@pytest.mark.parametrize("built", [True, False])
def test_a_lab_stays_what_it_is_whoever_answers_today(before: str, built: bool) -> None:
    chosen = settled("", before, "", built)
    assert chosen
    assert chosen.name == before
    assert f"LAB_FROM={origin.OTHER[before]} changes it" in chosen.why


def test_what_is_built_already_is_used() -> None:
    chosen = settled("", "", "", built=True)
    assert chosen
    assert str(chosen).startswith("Kubernetes comes from source: it is built already")


def test_a_new_lab_asks_the_internet() -> None:
    assert settled("", "", "", built=False) is None


@pytest.mark.parametrize("before", ["", SOURCE, INTERNET])
def test_the_guides_stack_and_what_tests_try_besides_are_always_built(before: str) -> None:
    chosen = settled("", before, "--everything", built=False)
    assert chosen
    assert not chosen.internet


def test_what_is_always_built_is_not_taken_from_the_internet_by_hand_either() -> None:
    with pytest.raises(settings.LabError, match=r"^LAB_FROM=internet builds nothing, and --stack guide is always"):
        settled(INTERNET, "", "--stack guide", built=False)


@pytest.mark.parametrize("word", ["", SOURCE, INTERNET])
def test_lab_from_has_two_values(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_FROM", word)
    assert origin.told() == word


def test_any_other_value_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_FROM", "github")
    with pytest.raises(settings.LabError, match=r"^LAB_FROM may be source or internet, not github;"):
        origin.told()


# The lab's own hosts.yml


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(hosts, "HOSTS", tmp_path / "state/hosts.yml")
    return tmp_path / "state/hosts.yml"


def test_of_two_machines_and_built_it_is_the_checkouts(file: Path) -> None:
    hosts.write("", ["manager", "client"], internet=False)
    assert yaml.safe_load(file.read_text()) == yaml.safe_load((ROOT / "hosts.yml").read_text())


def test_it_has_the_machines_that_there_are(file: Path) -> None:
    hosts.write("", ["manager", "client", "client2"], internet=False)
    found = inventory.load(file)
    assert [(host.name, host.role) for host in found.hosts] == [
        ("manager", "master"),
        ("client", "worker"),
        ("client2", "worker"),
    ]
    assert [str(host.address) for host in found.hosts] == [settings.address(host.name) for host in found.hosts]


def test_from_the_internet_it_has_no_mirrors(file: Path) -> None:
    hosts.write("", ["manager"], internet=True)
    assert not inventory.load(file).mirrors


def test_the_guides_stack_has_its_own(file: Path) -> None:
    hosts.write("guide", ["manager", "client"], internet=False)
    assert yaml.safe_load(file.read_text()) == yaml.safe_load((ROOT / "lab/guide-stack/hosts.yml").read_text())


def test_it_remembers_where_kubernetes_comes_from(file: Path) -> None:
    found = [hosts.origin()]
    for taken in (False, True):
        hosts.write("", ["manager"], internet=taken)
        found.append(hosts.origin())
    assert found == ["", SOURCE, INTERNET]


def test_it_is_whole_or_as_before(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts.write("", ["manager", "client"], internet=False)
    before = file.read_text()

    def power_cut(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(KeyboardInterrupt):
        hosts.write("", ["manager"], internet=True)
    assert file.read_text() == before


def test_make_up_passes_the_file_that_lab_up_writes() -> None:
    assert f"LAB_HOSTS = {settings.HOSTS}\n" in (ROOT / "Makefile").read_text()


# The whole of it, but for the asking


@pytest.mark.usefixtures("file")
def test_the_internet_is_asked_where_nothing_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_FROM", raising=False)
    monkeypatch.setattr("lab.parts.CACHE", Path("/nonexistent"))
    monkeypatch.setattr("lab.internet.ask", lambda questions: {question.name: "" for question in questions})
    assert whole.origin("", everything=False).internet
    assert not whole.origin("", everything=True).internet


@pytest.mark.usefixtures("file")
def test_nobody_is_asked_where_all_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_FROM", raising=False)
    monkeypatch.setattr("lab.internet.ask", pytest.fail)
    hosts.write("", ["manager"], internet=True)
    assert whole.origin("", everything=False).internet
    monkeypatch.setenv("LAB_FROM", SOURCE)
    assert not whole.origin("", everything=False).internet
