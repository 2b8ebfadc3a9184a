"""Users: a key that is made here, a certificate that ends soon, and what of it is told."""

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from invoke import Exit

from kubefab import access, releases, users
from kubefab.access import Ttl, Wish
from kubefab.cluster import Cluster
from kubefab.errors import KubefabError
from tests import fakes, sandbox
from tests.runs import Run

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
BINDINGS: dict[str, Any] = {"items": []}


A_DAY = timedelta(days=1)


def signed(text: str, end: datetime | None = None, good: timedelta = A_DAY) -> str:
    """By an authority of nobody's; `good` for as long, all in all."""
    request = x509.load_pem_x509_csr(text.encode())
    end = end or datetime.now(UTC) + good
    issuer, serial = x509.Name([]), x509.random_serial_number()
    made = x509.CertificateBuilder(
        issuer,
        request.subject,
        request.public_key(),
        serial,
        end - good,
        end,
    )
    return made.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def test_a_request_names_the_user_and_the_groups_in_their_order() -> None:
    asked = users.request("alice", ["dev", "ops", "dev"])
    read = x509.load_pem_x509_csr(asked.text.encode())
    assert read.is_signature_valid
    assert read.subject.rfc4514_string() == "CN=alice,O=ops,O=dev"


def test_a_request_has_no_key_in_it_and_each_has_one_of_its_own() -> None:
    one, two = users.request("alice", []), users.request("alice", [])
    assert "PRIVATE" not in one.text
    assert one.key.public_key() != two.key.public_key()


def test_a_certificate_of_another_key_is_refused() -> None:
    asked = users.request("alice", [])
    assert users.certificate(asked, signed(asked.text))
    for other in (signed(users.request("alice", []).text), "", "no certificate"):
        with pytest.raises(KubefabError, match="no certificate for the key that was made here; nothing was written"):
            users.certificate(asked, other)


@pytest.mark.parametrize("text", ["10m", "90m", "24h", "7d"])
def test_how_long_it_is_good_is_read_with_its_unit(text: str) -> None:
    assert Ttl(text) == {"10m": 600, "90m": 5400, "24h": 86400, "7d": 604800}[text]


@pytest.mark.parametrize(
    "text", ["", "h", "24", "9m", "0h", "-1h", "1.5h", "٣h", "24H", "1w", "99999999999h", "200000d"]
)
def test_how_long_it_is_good_is_told_where_it_cannot_be_so(text: str) -> None:
    with pytest.raises(Exit, match=r"--ttl: found .*; allowed: 10m or longer, as 90m, 24h or 7d"):
        Ttl(text)


@pytest.mark.parametrize(
    ("user", "groups", "told"),
    [
        ("", [], "--user: found ''"),
        ("a" * 65, [], "--user: found"),
        ("a\nb", [], "--user: found"),
        ("alice", [""], "--group: found ''"),
        ("system:kube-scheduler", [], "Kubernetes' own components'"),
        ("alice", ["dev", "system:masters"], "passes every rule, and no certificate can be taken back"),
    ],
)
def test_what_the_cluster_would_refuse_is_refused_before_anybody_is_asked(
    run: Run, user: str, groups: list[str], told: str
) -> None:
    with pytest.raises(KubefabError, match=told):
        access.give(run.context, Wish(user=user, groups=groups))
    assert run("manager").looks == []


def told_of_end(good: timedelta, ttl: timedelta, end: datetime) -> list[str]:
    asked = users.request("alice", [])
    return users.told_of_end(users.certificate(asked, signed(asked.text, end, good)), int(ttl.total_seconds()))


def test_the_real_end_is_told_and_why_it_is_nearer_than_was_asked_for() -> None:
    good_until = "good until 2026-11-26 12:00 UTC; until then nobody can take it back"
    assert told_of_end(A_DAY, A_DAY, NOW) == [good_until]
    end, why = told_of_end(timedelta(hours=1, minutes=5), A_DAY, NOW)
    assert end == good_until
    assert "--cluster-signing-duration" in why


@pytest.mark.parametrize("ahead", [timedelta(minutes=-30), timedelta(), timedelta(minutes=30), timedelta(days=400)])
@pytest.mark.parametrize("backdated", [timedelta(), timedelta(minutes=5)])
def test_a_cluster_whose_clock_is_another_gives_what_was_asked_for(ahead: timedelta, backdated: timedelta) -> None:
    """For up to eight hours the signer dates the beginning back, and not the end."""
    hour = timedelta(hours=1)
    assert len(told_of_end(hour + backdated, hour, datetime.now(UTC) + hour + ahead)) == 1


def binding(role: str, *subjects: tuple[str, str], namespace: str | None = None) -> dict[str, Any]:
    return {
        "metadata": {"name": "x", "namespace": namespace},
        "roleRef": {"kind": "ClusterRole", "name": role},
        "subjects": [{"kind": kind, "name": name} for kind, name in subjects] or None,
    }


def test_rights_that_are_missing_are_told_with_the_command_that_gives_some() -> None:
    others = [
        binding("admin", ("User", "bob"), ("Group", "ops")),
        binding("none"),
        binding("sa", ("ServiceAccount", "alice")),
    ]
    told = users.told_of_rights(json.dumps({"items": others}), "alice", ["dev"])
    assert told.startswith("RBAC lets it do nothing yet")
    assert "inv kubectl -- create clusterrolebinding alice-view --clusterrole view --user alice" in told


def test_the_command_that_gives_rights_can_be_typed_for_any_user() -> None:
    told = users.told_of_rights(json.dumps({"items": []}), "team/Jane Doe", [])
    assert told.endswith("clusterrolebinding 'team-Jane Doe-view' --clusterrole view --user 'team/Jane Doe'")


def test_rights_of_the_user_and_of_each_group_are_told() -> None:
    items = [binding("view", ("User", "alice")), binding("edit", ("Group", "dev"), namespace="web")]
    told = users.told_of_rights(json.dumps({"items": items}), "alice", ["dev"])
    assert told == "it may do what is in: ClusterRole view, ClusterRole edit (namespace web)"


# --- all of it


@pytest.fixture
def longer() -> int:
    """Seconds that the cluster signs for besides those it was asked for."""
    return 0


@pytest.fixture
def signing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longer: int) -> Run:
    """A cluster that signs whatever it is asked to."""
    monkeypatch.setenv("HOME", str(tmp_path))
    run.put_cluster("manager")
    run("manager").answers["kubectl.sh"] = json.dumps(BINDINGS)
    ask = fakes.FakeHost.ask

    def asked(host: fakes.FakeHost, script: str, *words: str, payload: str = "", **how: Any) -> str:
        if script == "sign-user.sh":
            host.world.payloads[script] = payload
            good = timedelta(seconds=int(words[1]) + longer)
            host.world.answers[script] = signed(payload, datetime.now(UTC) + good, good)
        return ask(host, script, *words, **how)

    monkeypatch.setattr(fakes.FakeHost, "ask", asked)
    return run


def test_a_user_is_let_in_by_a_key_that_only_this_computer_has(
    signing: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    access.give(signing.context, Wish(user="alice", groups=["dev"], ttl=Ttl("90m")))
    text = (tmp_path / ".kube/config").read_text()
    (user,) = yaml.safe_load(text)["users"]
    key = load_pem_private_key(b64decode(user["user"]["client-key-data"]), None)
    certificate = x509.load_pem_x509_certificate(b64decode(user["user"]["client-certificate-data"]))
    assert key.public_key() == certificate.public_key()
    assert "PRIVATE" not in signing("manager").payloads["sign-user.sh"]
    assert user["user"]["client-key-data"] not in "".join(signing.ran)
    assert [line.split()[0] for line in signing.ran] == ["sign-user.sh", "kubectl.sh"]
    assert signing.ran[0].endswith(" 5400")
    assert "kubectl get nodes\n" in (said := capsys.readouterr().out)
    assert "good until " in said
    assert "RBAC lets it do nothing yet" in said


@pytest.mark.parametrize("longer", [3600])
def test_a_certificate_for_longer_than_was_asked_is_given_to_nobody(signing: Run, tmp_path: Path) -> None:
    with pytest.raises(KubefabError, match="signed for longer than was asked"):
        access.give(signing.context, Wish(user="alice", ttl=Ttl("90m")))
    assert not (tmp_path / ".kube").exists()


def test_a_users_file_is_for_handing_over(signing: Run, tmp_path: Path) -> None:
    file = tmp_path / "alice.conf"
    access.give(signing.context, Wish(str(file), user="alice"))
    assert yaml.safe_load(file.read_text())["current-context"] == "alice@lab"
    assert file.stat().st_mode & 0o777 == 0o600
    access.give(signing.context, Wish(str(file), user="alice"))
    assert not (tmp_path / ".kube").exists()


def test_anothers_file_is_not_written_over(signing: Run, tmp_path: Path) -> None:
    file = tmp_path / "conf"
    access.give(signing.context, Wish(str(file), user="alice"))
    before = file.read_text()
    with pytest.raises(KubefabError, match="lets another user in; --force writes over it"):
        access.give(signing.context, Wish(str(file), user="bob"))
    assert file.read_text() == before
    access.give(signing.context, Wish(str(file), force=True, user="bob"))
    assert "bob@lab" in file.read_text()


def test_one_user_is_taken_out_of_a_kubeconfig(signing: Run, tmp_path: Path) -> None:
    for name in ("alice", "bob"):
        access.give(signing.context, Wish(user=name))
    access.give(signing.context, Wish(remove=True, user="alice"))
    found = yaml.safe_load((tmp_path / ".kube/config").read_text())
    assert [one["name"] for one in found["users"]] == ["bob@lab"]


def test_where_a_certificate_cannot_end_soon_there_is_none(
    signing: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Cluster, "release", releases.release("1.21.14"))
    with pytest.raises(KubefabError, match="nobody could take that back"):
        access.give(signing.context, Wish(user="alice"))
    assert (signing.ran, (tmp_path / ".kube").exists()) == ([], False)


def test_a_dry_run_asks_for_no_certificate(dry: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    dry.put_cluster("manager")
    access.give(dry.context, Wish(str(tmp_path / "x"), user="alice"))
    assert (dry.ran, list(tmp_path.iterdir())) == ([], [])
    assert capsys.readouterr().out == f"would write a new key of alice into {tmp_path}/x\n"


# --- on the master

STUB = """\
stub kubectl 'case "$*" in
*" create "*) cat >/mnt/asked ;;
*jsonpath*) %s ;;
esac'
stub sleep ''
"""


@sandbox.needed
def test_a_request_is_signed_and_deleted_again() -> None:
    run = f"{STUB % 'printf UEVN'}printf CSR | {sandbox.script('sign-user.sh', 'kubefab-1', '5400')}\n"
    said, _, rest = sandbox.run(f"{run}echo; cat /mnt/asked; echo ---; cat /mnt/calls").partition("\n")
    asked, _, calls = rest.partition("---\n")
    assert said == "PEM"
    assert yaml.safe_load(asked) == {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "kubefab-1"},
        "spec": {
            "signerName": "kubernetes.io/kube-apiserver-client",
            "expirationSeconds": 5400,
            "usages": ["client auth"],
            "request": "Q1NS",
        },
    }
    assert calls.splitlines()[-1].endswith("delete certificatesigningrequest kubefab-1 --ignore-not-found")


@sandbox.needed
def test_a_request_that_nobody_signs_is_an_error_and_deleted_again() -> None:
    run = f"{STUB % ':'}printf CSR | {sandbox.script('sign-user.sh', 'kubefab-1', '5400')} 2>&1 || echo $?\n"
    said = sandbox.run(f"{run}tail -n 1 /mnt/calls")
    assert said.startswith("nobody has signed the request: does the controller manager run?\n1\n")
    assert "delete certificatesigningrequest kubefab-1" in said
