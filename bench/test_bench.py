"""What contestants say -> where the time went; and the table made of it."""

from pathlib import Path

import pytest
import yaml

from bench import contestants, run, scene
from bench.contestants import ALL, Stage
from bench.race import BenchError, Race, Span, proven, titled
from bench.race import run as run_race
from kubefab import inventory
from kubefab.inventory import Inventory
from tests.fakes import three_masters

KUBEFAB, BY_HAND, ANSIBLE = ALL


@pytest.fixture
def wanted() -> Inventory:
    return inventory.load(Path(__file__).parent.parent / "hosts.yml")


def race(init: float, total: float) -> Race:
    spans = (
        Span("the control plane exists", init, init + 10),
        Span("kubeadm init", init, init + 10),
        Span("the host is a node", init + 11, init + 14),
        Span("the host is a node", init + 12, init + 15),
        Span("kubeadm join", init + 11, init + 15),
    )
    return Race(total, spans, ())


def test_a_title_lasts_until_the_next_one() -> None:
    lines = [(0.1, "== preparing"), (3.0, "Reading package lists..."), (7.0, "== kubeadm init"), (17.0, "== waiting")]
    assert titled(lines, "== (.+)", 40.0) == (
        Span("preparing", 0.1, 7.0),
        Span("kubeadm init", 7.0, 17.0),
        Span("waiting", 17.0, 40.0),
    )


def test_kubefab_says_what_has_come_true_and_how_long_it_took() -> None:
    lines = [
        (8.0, "manager  + Kubernetes 1.37.2 is installed and held  3.5 s"),
        (8.5, "client   ~ swap is off  0.5 s"),
        (9.0, "client   · the node is Ready  1.0 s"),
        (9.1, "done in 9.0 s; changes: manager 1"),
    ]
    assert proven(lines) == (
        Span("Kubernetes 1.37.2 is installed and held", 4.5, 8.0),
        Span("swap is off", 8.0, 8.5),
        Span("the node is Ready", 8.0, 9.0),
    )


def test_joins_side_by_side_last_from_the_first_begin_to_the_last_end() -> None:
    assert race(8, 40).seconds("the host is a node") == 4


def test_a_phase_that_was_never_told_ends_the_comparison() -> None:
    with pytest.raises(BenchError, match="nothing was said of 'etcd'"):
        race(8, 40).begin("etcd")


def test_a_contestant_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"sh ended with 3(.|\n)*no such luck"):
        run_race(["sh", "-c", "echo no such luck; exit 3"], tmp_path / "log", {"PATH": "/bin"})
    assert "no such luck" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("lines", "idle"),
    [
        (("nothing to do (0.4 s)",), True),
        (("done in 2.0 s; changes: client 1",), False),
        (("client : ok=17 changed=0 unreachable=0", "manager : ok=21 changed=0 unreachable=0"), True),
        (("client : ok=17 changed=1 unreachable=0", "manager : ok=21 changed=0 unreachable=0"), False),
        ((), False),
    ],
)
def test_who_says_that_nothing_was_changed(lines: tuple[str, ...], idle: bool) -> None:
    assert contestants.nothing_changed(lines) is idle


def test_round_trips_are_those_of_the_last_run(wanted: Inventory, tmp_path: Path) -> None:
    stage = Stage(wanted, tmp_path)
    assert contestants.round_trips(stage) == {}
    logs = tmp_path / "state/kubefab"
    logs.mkdir(parents=True)
    (logs / "2026.log").write_text("2026-11-22 20:00:00.000 client: swap is off\nround trips: manager 12, client 10\n")
    assert contestants.round_trips(stage) == {"manager": 12, "client": 10}


def test_everybody_is_given_the_same_files_and_documents(wanted: Inventory, tmp_path: Path) -> None:
    scene.prepare(tmp_path, wanted)
    assert "SystemdCgroup = true" in (tmp_path / "system/etc/containerd/config.toml").read_text()
    assert "1.37.2-*" in (tmp_path / "kubernetes/etc/apt/preferences.d/kubernetes").read_text()
    join = yaml.safe_load((tmp_path / "join-client.yaml").read_text())
    assert join["discovery"] == {
        "bootstrapToken": {
            "token": "TOKEN",
            "apiServerEndpoint": "lab.kubefab.internal:6443",
            "caCertHashes": ["CA_HASH"],
        }
    }
    assert "version=1.37.2\n" in (tmp_path / "values.sh").read_text()
    assert "Host client\n    HostName 10.250.0.11\n" in (tmp_path / "ssh_config").read_text()


def test_who_makes_several_masters_by_hand_has_their_keys_in_a_secret_and_haproxy_on_workers(tmp_path: Path) -> None:
    scene.prepare(tmp_path, three_masters())
    masters = yaml.safe_load((tmp_path / "join-m2.yaml").read_text())["controlPlane"]
    assert masters["certificateKey"] == "CERTIFICATE_KEY"
    assert "controlPlane" not in yaml.safe_load((tmp_path / "join-client.yaml").read_text())
    assert "server m3 10.250.0.13:6443" in (tmp_path / "haproxy/etc/haproxy/haproxy.cfg").read_text()


def test_ansibles_playbook_is_for_one_master(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="one master"):
        ANSIBLE.get_ready(Stage(three_masters(), tmp_path))


def test_the_report_compares_medians() -> None:
    ours = run.Score(KUBEFAB, [race(7, 40), race(8, 42), race(9, 90)], [0.6, 0.5, 0.7])
    theirs = run.Score(BY_HAND, [race(8, 50), race(10, 52), race(10, 51)])
    text = "\n".join([*run.table([ours, theirs]), *run.ratios(ours, theirs)])
    assert "| start to `kubeadm init` | 8.0 s | 10.0 s |" in text
    assert "| the same again, nothing to do | 0.60 s |  |" in text
    assert "All of it: 0.82 of the time by hand" in text
    assert "Start to `kubeadm init`: 0.80 of the time by hand" in text


def test_steps_are_listed_by_their_slowest_host() -> None:
    spans = (Span("the host is a node", 0, 3), Span("the host is a node", 0, 5), Span("swap is off", 0, 4))
    assert run.longest(run.Score(KUBEFAB, [Race(10, spans, ())]))[2:] == [
        "| the host is a node | 5.0 s |",
        "| swap is off | 4.0 s |",
    ]


def test_round_trips_are_told_as_medians_by_host() -> None:
    assert run.trips([{"manager": 2, "client": 1}, {"manager": 4, "client": 1}]) == "manager 3, client 1"
    assert run.trips([{}]) == "not in its log"
