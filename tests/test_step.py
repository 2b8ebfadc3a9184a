"""The makers of common steps: what each one's gap says, and the change it would make."""

from base64 import b64encode

import pytest

from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Package, Unit
from kubefab.questions import Questions
from kubefab.step import MISSING, NO_CLUSTER, Step, files, on_cluster, packages, script, service, sha256
from tests.facts import known
from tests.fakes import cluster, world

TEXTS = {"/etc/a": "one\n", "/etc/b": "two\n"}
BOTH = {path: sha256(text) for path, text in TEXTS.items()}
RUNS = Unit("active", "enabled", since=100)


def changes_of(step: Step) -> tuple[list[str], dict[str, str]]:
    """What the step's change runs on a host, and the standard input of each script."""
    made = cluster()
    assert step.close
    step.close(made.founder)
    return world(made, "manager").ran, world(made, "manager").payloads


@pytest.mark.parametrize(
    ("found", "gap"),
    [
        (BOTH, None),
        ({**BOTH, "/etc/c": "0"}, None),
        ({}, MISSING),
        ({"/etc/a": BOTH["/etc/a"]}, MISSING),
        ({**BOTH, "/etc/b": "0"}, "/etc/b differs"),
        ({"/etc/a": "0", "/etc/b": "0"}, "/etc/a, /etc/b differs"),
        ({"/etc/a": "0"}, "/etc/a differs"),
    ],
)
def test_files_are_just_so_or_missing_or_different(found: dict[str, str], gap: str | None) -> None:
    assert files("they are there", TEXTS).gap(known(digests=found)) == gap


def test_files_travel_as_standard_input_with_their_mode() -> None:
    ran, payloads = changes_of(files("they are there", TEXTS))
    one, two = (b64encode(text.encode()).decode() for text in TEXTS.values())
    assert ran == ["put-files.sh"]
    assert payloads["put-files.sh"] == f"0644 /etc/a {one}\n0644 /etc/b {two}\n"


def test_a_digest_is_the_one_that_sha256sum_prints() -> None:
    assert sha256("one\n") == "2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806"


@pytest.mark.parametrize(
    ("unit", "gap"),
    [
        (RUNS, None),
        (Unit("active", "enabled", since=50), None),
        (Unit("inactive", "enabled"), "inactive"),
        (Unit("failed", "enabled"), "failed"),
        (Unit("active", "disabled", since=100), "does not start at boot (disabled)"),
        (Unit("active", "", since=100), "does not start at boot (no unit file)"),
        (Unit("active", "enabled", since=49), "runs with an older configuration"),
        (None, "inactive"),
    ],
)
def test_a_service_runs_and_starts_at_boot_and_is_younger_than_what_it_reads(unit: Unit | None, gap: str) -> None:
    found = known(units={"kubelet": unit} if unit else {}, mtimes={"/etc/x.toml": 50, "/etc/other": 200})
    assert service("kubelet", reads=["/etc/x.toml", "/etc/not-there"]).gap(found) == gap


def test_a_service_that_reads_nothing_has_no_age() -> None:
    assert (
        service("kubelet").gap(known(units={"kubelet": Unit("active", "enabled", since=1)}, mtimes={"/etc/a": 50}))
        is None
    )


def test_what_no_look_asks_of_fails_at_once() -> None:
    """It would be missing for ever, on a host where it is."""
    facts = known()
    for read in (
        lambda: service("nginx"),
        lambda: facts.services.unit("nginx"),
        lambda: facts.packages.deb("nginx"),
        lambda: facts.system.can("ip_vs"),
        lambda: facts.system.setting("net.ipv4.tcp_rmem"),
    ):
        with pytest.raises(ValueError, match=r"no look asks of '.*': write it into kubefab/questions.py"):
            read()


@pytest.mark.parametrize("name", ["", "two words", "$(id)", "a;b", "a\nb", "*", "-rf", "'", "ü"])
def test_a_look_asks_of_nothing_that_a_shell_would_take_for_more_than_a_word(name: str) -> None:
    for wanted in ({"paths": (name,)}, {"units": (name,)}, {"packages": (name,)}, {"sysctls": (name,)}):
        with pytest.raises(ValueError, match="a look cannot ask of"):
            Questions(**wanted)


def test_a_service_is_restarted_and_given_time() -> None:
    step = service("kubelet")
    assert changes_of(step)[0] == ["restart-service.sh kubelet"]
    assert (step.title, step.hint, step.within) == ("kubelet runs", "see what it says: journalctl -u kubelet", 20)


def test_packages_are_what_their_finder_says() -> None:
    step = packages(
        "it is installed", ["kubelet", "y"], lambda found: None if found.deb("kubelet").installed else MISSING
    )
    assert step.gap(known()) == MISSING
    assert step.gap(known(debs={"kubelet": Package("ii")})) is None
    assert changes_of(step)[0] == ["install-packages.sh kubelet y"]


def test_a_script_is_run_with_its_arguments_and_its_standard_input() -> None:
    close = script("load-modules.sh", "overlay", payload="text")
    assert changes_of(Step("", lambda facts: None, close)) == (
        ["load-modules.sh overlay"],
        {"load-modules.sh": "text"},
    )


def test_a_gap_that_needs_a_cluster_says_that_there_is_none() -> None:
    assert on_cluster(lambda live, facts: None)(known()) == NO_CLUSTER


def test_a_cluster_whose_init_was_broken_off_is_none_yet() -> None:
    assert on_cluster(lambda live, facts: None)(known(cluster=ClusterFacts(), init_begun=1)) == NO_CLUSTER


def test_a_gap_that_needs_a_cluster_concludes_nothing_from_silence() -> None:
    with pytest.raises(Silent, match="the API server gives no answer: refused") as told:
        on_cluster(lambda live, facts: None)(known(cluster=ClusterFacts(silent="refused")))
    assert "inv cluster.status" in told.value.hint


def test_a_gap_that_needs_a_cluster_is_asked_where_there_is_one() -> None:
    gap = on_cluster(lambda live, facts: f"{live.version} on {facts.system.hostname}")
    assert gap(known(hostname="client", cluster=ClusterFacts(version="1.37.2"))) == "1.37.2 on client"
