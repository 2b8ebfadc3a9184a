"""Three masters whose API servers get a flag by hosts.yml, and one that they do not bear; and are cut off midway."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import (
    MACHINES,
    MASTER,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    all_is_well,
    catch,
    cut_power,
    edited,
    kill_change,
    kubectl,
    on,
    power_on,
    wait_on,
)
from tests.e2e.writer import SERVICE, none_is_lost, writing
from tests.proof.drifting import MARKS, configured, own_masters

COVERS = (
    "tests/proof/drifting.py",
    "kubefab/steps/drift*.py",
    "kubefab/steps/marked.py",
    "kubefab/putting_back.py",
    "kubefab/differences.py",
    "kubefab/facts/manifests.py",
    "scripts/**/*manifest*.sh",
    "scripts/upload-configuration.sh",
    "scripts/shared/marks.sh",
    "scripts/shared/rendered.sh",
    "scripts/shared/hasten.sh",
    "scripts/shared/static.sh",
)
API = "/etc/kubernetes/manifests/kube-apiserver.yaml"
GAP = 5.0  # seconds that a client of the API may wait, with three masters


def saying(path: Path, *names: str, **flags: str) -> Path:
    """A hosts.yml whose API servers have these flags, and these names in their certificates."""
    told = {name.replace("_", "-"): value for name, value in flags.items()}
    certified = {"certSANs": [*names]} if names else {}
    return configured(path, ClusterConfiguration={"apiServer": {"extraArgs": told, **certified}})


@pytest.fixture(scope="module")
def inv(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubefab]:
    with own_masters(tmp_path_factory.mktemp("drift")) as inv:
        yield inv


def told(host: str) -> list[str]:
    """What this master's API server was told."""
    return on(host, "tr '\\0' '\\n' </proc/$(pgrep -x kube-apiserver)/cmdline").splitlines()


def kept(master: str = MASTER) -> str:
    return kubectl("-n", "kube-system", "get", "configmap", "kubeadm-config", "-o", "jsonpath={.data}", master=master)


def began(host: str) -> str:
    """In the kernel's own count; ps makes a time of day of that, and rounds it now so, now so."""
    return on(host, "cut -d ' ' -f 1,22 /proc/$(pgrep -x kube-apiserver)/stat")


# --- a flag of hosts.yml, on one master after the other


@dataclass(frozen=True)
class Flagged:
    dry: Done
    done: Done
    told: dict[str, list[str]]
    kept: str
    again: Done


@pytest.fixture(scope="module")
def flagged(inv: Kubefab) -> Flagged:
    says = saying(inv.state / "flagged.yml", max_requests_inflight="420")
    dry = inv("--dry", "cluster.up", hosts=says)
    with writing(SPARE, SPARE, inv.state / "credentials", SERVICE) as writer:
        since = time.monotonic()
        done = inv("cluster.up", hosts=says)
        writer.goes_on()
        acknowledged = writer.ends()
        writer.gaps("three API servers get a flag", since, GAP)
    none_is_lost("three API servers get a flag", acknowledged, MACHINES)
    return Flagged(dry, done, {name: told(name) for name in MACHINES}, kept(), inv("cluster.up", hosts=says))


def test_each_api_server_that_restarts_is_told_before(flagged: Flagged) -> None:
    said = flagged.dry.well().stdout
    assert [name for name in MACHINES if f"the API server of {name} restarts" not in said] == []
    assert said.count("without --max-requests-inflight=420") == len(MACHINES)


def test_every_api_server_has_the_flag_and_so_has_what_kubeadm_keeps(flagged: Flagged) -> None:
    flagged.done.well()
    assert [name for name, flags in flagged.told.items() if "--max-requests-inflight=420" not in flags] == []
    assert "max-requests-inflight" in flagged.kept


def test_a_second_run_changes_nothing(flagged: Flagged) -> None:
    assert "nothing to do" in flagged.again.well().stdout


# --- a name of hosts.yml


SERVED = "openssl s_client -connect 127.0.0.1:6443 </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName"


def test_a_name_of_hosts_yml_comes_into_the_certificate_that_every_api_server_serves(
    flagged: Flagged, inv: Kubefab
) -> None:
    says = saying(inv.state / "named-server.yml", "drift.example", max_requests_inflight="420")
    assert inv("--dry", "cluster.up", hosts=says).well().stdout.count("without drift.example") >= len(MACHINES)
    inv("cluster.up", hosts=says).well()
    assert [name for name in MACHINES if "DNS:drift.example" not in on(name, SERVED)] == []
    assert "drift.example" in kept()
    assert "nothing to do" in inv("cluster.up", hosts=says).well().stdout


# --- what is not borne


def test_a_flag_that_is_not_borne_is_taken_back_and_comes_to_no_other_master(flagged: Flagged, inv: Kubefab) -> None:
    says = saying(inv.state / "bad.yml", max_requests_inflight="420", no_such_flag="1")
    before = {name: began(name) for name in (WORKER, SPARE)}
    done = inv("cluster.up", hosts=says).badly()
    assert "the former one is there again, and well again" in done.stderr
    assert "no-such-flag" in done.stderr  # what it said itself
    assert {name: began(name) for name in (WORKER, SPARE)} == before
    assert "--max-requests-inflight=420" in told(MASTER)
    assert "no-such-flag" not in kept()
    all_is_well(inv)


# --- what is cut off


@pytest.mark.parametrize("how", ["killed", "without power"])
def test_what_was_cut_off_goes_on(flagged: Flagged, inv: Kubefab, how: str) -> None:
    size = {"killed": "430", "without power": "440"}[how]
    says = saying(inv.state / "cut.yml", max_requests_inflight=size)
    with inv.started("cluster.up", hosts=says) as run:
        catch(run, WORKER, f"grep -q inflight={size} {API}")
        run.is_killed()
        if how == "killed":
            kill_change(WORKER)
        else:
            cut_power(WORKER)
    power_on()
    inv("cluster.up", hosts=says).well()
    assert [name for name in MACHINES if f"--max-requests-inflight={size}" not in told(name)] == []
    assert on(WORKER, f"ls {MARKS}/former 2>/dev/null || true") == ""
    assert "nothing to do" in inv("cluster.up", hosts=says).well().stdout


# --- what others have made


@pytest.fixture
def unmarked(inv: Kubefab) -> Iterator[Kubefab]:
    """As in a cluster that somebody made with kubeadm: there is no mark of kubefab's."""
    inv("cluster.up").well()
    for name in MACHINES:
        on(name, f"rm -r {MARKS}")
    yield inv
    for name in MACHINES:
        inv("cluster.put-back", "--host", name, "--yes").well()


def test_in_a_cluster_made_by_hand_nothing_is_drift_until_hosts_yml_names_it(unmarked: Kubefab) -> None:
    assert "nothing to do" in unmarked("cluster.up").well().stdout
    says = saying(unmarked.state / "named.yml", max_requests_inflight="450")
    done = unmarked("cluster.up", hosts=says).well()
    words = "without --max-requests-inflight=450; kubefab has not made it"
    assert done.stdout.count(words) == len(MACHINES), done.stdout
    assert "nothing to do" in done.stdout
    for name in MACHINES:
        unmarked("cluster.put-back", "--host", name, "--yes", hosts=says).well()
        assert "--max-requests-inflight=450" in told(name)
    assert "nothing to do" in unmarked("cluster.up", hosts=says).well().stdout


THEIRS = "--event-ttl=2h0m0s"


def test_a_flag_that_somebody_gave_an_api_server_outlives_every_run(inv: Kubefab) -> None:
    inv("cluster.up").well()
    edited(MASTER, API, f"s/^    - kube-apiserver$/&\\n    - {THEIRS}/")
    wait_on(MASTER, f"tr '\\0' '\\n' </proc/$(pgrep -x kube-apiserver)/cmdline | grep -qx -e {THEIRS}")
    all_is_well(inv)
    try:
        done = inv("cluster.up", hosts=saying(inv.state / "other.yml", max_requests_inflight="460")).well()
        assert f"changed by hand: with {THEIRS}" in done.stdout
        assert THEIRS in told(MASTER)
        assert "--max-requests-inflight=460" in told(WORKER)
    finally:
        inv("cluster.put-back", "--host", MASTER, "--yes").well()
    assert THEIRS not in told(MASTER)
    inv("cluster.up").well()
