"""Certificates: until when they are good, what is served for them, and what is told of it."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from invoke import Exit

from kubefab import certificates, runbook
from kubefab.errors import HostError, KubefabError
from kubefab.facts import ClusterFacts, Facts
from kubefab.status import Found, State, status
from tests.facts import known, read
from tests.fakes import inventory
from tests.runs import Run

NOW = datetime(2026, 11, 26, tzinfo=UTC)
API, KUBELET, SELF_MADE = "/etc/kubernetes/pki/apiserver.crt", certificates.CLIENT, certificates.SELF_MADE
API_RUNS = "process kube-apiserver 1000"
KEY = ec.generate_private_key(ec.SECP256R1())
YEAR = timedelta(days=365)


def made(
    days: float,
    life: timedelta = YEAR,
    authority: bool = False,
    name: str = "x",
    names: Sequence[str] = (),
    by: str = "",
) -> x509.Certificate:
    who, signer = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one)]) for one in (name, by or name))
    end = NOW + timedelta(days=days)
    builder = x509.CertificateBuilder(signer, who, KEY.public_key(), x509.random_serial_number(), end - life, end)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(map(named, names)), critical=False)
    return builder.add_extension(x509.BasicConstraints(authority, None), critical=True).sign(KEY, hashes.SHA256())


def named(name: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)


def der(*args: Any, **how: Any) -> str:
    return b64encode(made(*args, **how).public_bytes(Encoding.DER)).decode()


def pem(*args: Any, **how: Any) -> str:
    return b64encode(made(*args, **how).public_bytes(Encoding.PEM)).decode()


def host(*lines: str) -> Facts:
    """What the look has printed."""
    return read({"certificates": "\n".join(lines)})


def wrong(*lines: str) -> list[str]:
    return certificates.problems(host(*lines), NOW)


def test_what_is_good_for_more_than_a_month_is_well() -> None:
    assert wrong(f"certificate {API} {der(31)}", f"client /etc/kubernetes/admin.conf {pem(31)}") == []


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (API, "inv certs.renew"),
        (KUBELET, "the kubelet renews it by itself, and has not"),
        (f"{certificates.PKI}/mine.crt", "it is not kubeadm's"),
    ],
)
def test_what_ends_within_a_month_is_told_with_what_to_do(file: str, told: str) -> None:
    (line,) = wrong(f"certificate {file} {der(29.5)}")
    assert line.startswith(f": {file} ends in 29 days (2026-12-25 12:00 UTC): ")
    assert told in line


def test_a_certificate_that_somebody_has_given_the_kubelet_is_his_to_renew() -> None:
    """By its own authority: with one of the kubelet's own in its place nobody would know that key any more."""
    theirs, own = (f"certificate {SELF_MADE} {der(1, name=name)}" for name in ("node1.example.org", "node1@1795671050"))
    assert [one.what for one in certificates.self_made(host(theirs))] == []
    assert [one.what for one in certificates.self_made(host(own))] == [SELF_MADE]
    assert "whoever made it has to renew it" in wrong(theirs)[0]
    assert "inv certs.renew has it made anew" in wrong(own)[0]


def test_a_conf_ends_too() -> None:
    (line,) = wrong(f"client /etc/kubernetes/super-admin.conf {pem(1)}")
    assert "super-admin.conf ends in 1 days" in line


def test_what_has_ended_is_told_as_that() -> None:
    (line,) = wrong(f"certificate {API} {der(-1)}")
    assert "HAS ENDED (2026-11-25" in line


def test_the_end_of_an_authority_is_told_with_what_it_means() -> None:
    (line,) = wrong(f"certificate /etc/kubernetes/pki/ca.crt {der(10, authority=True)}")
    assert "with it ends all that it has signed, and nobody renews it" in line


def test_one_that_lives_for_a_day_is_no_alarm_every_day() -> None:
    day = timedelta(days=1)
    assert wrong(f"certificate {KUBELET} {der(0.3, day)}") == []
    assert wrong(f"certificate {KUBELET} {der(0.1, day)}") == []  # the kubelet may take until then
    assert len(wrong(f"certificate {KUBELET} {der(0.05, day)}")) == 1


def test_one_of_kubeadms_ends_within_a_month_however_short_its_life_is() -> None:
    life = timedelta(days=20)
    assert len(wrong(f"certificate {API} {der(19, life)}", f"client /etc/kubernetes/admin.conf {pem(19, life)}")) == 2
    assert certificates.problems(host(f"certificate {API} {der(19, life)}"), NOW, life) == []


def test_what_a_program_makes_for_itself_is_shown_and_no_problem() -> None:
    served = f"served 10257 {der(3)}"
    assert (wrong(served), [one.what for one in certificates.found(host(served))]) == ([], ["served at 10257"])


def test_what_a_kubelet_made_once_is_no_problem_where_it_serves_another() -> None:
    rotated = der(300)
    lines = [f"certificate {certificates.SELF_MADE} {der(-9)}", f"certificate {certificates.ROTATED} {rotated}"]
    assert wrong(*lines, f"served 10250 {rotated}") == []
    assert len(wrong(lines[0])) == 1


def test_a_kubelet_may_serve_either_of_its_own() -> None:
    made, rotated = der(300), der(299)
    lines = [f"certificate {certificates.SELF_MADE} {made}", f"certificate {certificates.ROTATED} {rotated}"]
    assert wrong(*lines, f"served 10250 {made}") == wrong(*lines, f"served 10250 {rotated}") == []
    assert len(wrong(*lines, f"served 10250 {der(200)}")) == 1


def test_a_program_that_was_told_of_another_file_does_not_serve_kubeadms() -> None:
    lines = [f"certificate {API} {der(300)}", f"served 6443 {der(200)}"]
    assert len(wrong(*lines)) == 1
    assert wrong(*lines, "otherwise 6443") == []


def test_what_kubefab_knows_no_file_of_ends_too() -> None:
    """An API server or a kubelet that was told of another file, and an etcd whose keys are elsewhere."""
    lines = [f"certificate {API} {der(300)}", f"served 6443 {der(3)}", "otherwise 6443"]
    (line,) = wrong(*lines)
    assert line.startswith(": served at 6443 ends in 3 days (2026-11-29 00:00 UTC): kubefab knows no file of it")
    assert "served at 6443" in [one.what for one in certificates.found(host(*lines))]
    assert len(wrong(f"served 2379 {der(3)}", "process etcd 1000")) == 1
    assert wrong(f"served 2379 {der(3)}") == []  # somebody's own etcd, on a worker say


def test_what_is_in_a_file_is_told_by_that_alone() -> None:
    mine = der(3)
    (line,) = wrong(f"certificate {certificates.PKI}/mine.crt {mine}", f"served 6443 {mine}", "otherwise 6443")
    assert "mine.crt ends in 3 days" in line


def test_what_certs_renew_leaves_to_an_etcds_owner_is_told_with_that() -> None:
    file = f"{certificates.PKI}/apiserver-etcd-client.crt"
    (line,) = wrong(f"certificate {file} {der(3)}")
    assert line.endswith("whoever looks after that etcd has to renew it, and inv certs.renew does not")
    server = f"certificate {certificates.PKI}/etcd/server.crt {der(300)}"
    (line,) = wrong(f"certificate {file} {der(3)}", server)
    assert line.endswith("inv certs.renew")


@pytest.mark.parametrize("body", ["none", "QUJD", "", "!"])
def test_what_cannot_be_read_is_told(body: str) -> None:
    assert wrong(f"certificate {API} {body}") == [f": {API} cannot be read"]


# --- what is served


@pytest.mark.parametrize(
    ("port", "file"),
    [
        ("6443", API),
        ("2379", "/etc/kubernetes/pki/etcd/server.crt"),
        ("2380", "/etc/kubernetes/pki/etcd/peer.crt"),
        ("10250", SELF_MADE),
        ("10250", certificates.ROTATED),
    ],
)
def test_what_is_served_is_compared_with_its_file(port: str, file: str) -> None:
    old, new = der(100), der(300)
    assert wrong(f"certificate {file} {new}", f"served {port} {new}") == []
    (line,) = wrong(f"certificate {file} {new}", f"served {port} {old}")
    assert line.startswith(f": port {port} serves another certificate than {file}: what serves there is older")


def test_of_a_kubelet_that_has_one_of_the_clusters_the_self_made_one_counts_no_more() -> None:
    ours = der(300)
    assert (
        wrong(
            f"certificate {certificates.ROTATED} {ours}", f"certificate {SELF_MADE} {der(200)}", f"served 10250 {ours}"
        )
        == []
    )


def test_a_port_that_shows_nothing_in_time_is_no_alarm_of_a_status() -> None:
    facts = host(f"certificate {API} {der(300)}", API_RUNS, "served 6443 none")
    assert certificates.problems(facts, NOW) == []
    assert certificates.of_all([facts], NOW)[1] == [": port 6443 has shown no certificate in time"]


def test_without_openssl_there_it_is_said_that_this_is_not_known() -> None:
    facts = host(f"certificate {API} {der(300)}", "unserved openssl is not installed there")
    assert certificates.of_all([facts], NOW)[1] == [": what is served is not known: openssl is not installed there"]


def test_who_has_no_file_is_told_by_its_end_and_by_what_it_read_at_its_start() -> None:
    served = [f"served {port} {der(300)}" for port in ("10257", "10259")]
    assert [one.what for one in certificates.found(host(*served))] == ["served at 10257", "served at 10259"]
    conf = "written /etc/kubernetes/controller-manager.conf"
    assert wrong(*served, "process kube-controller-manager 1000", f"{conf} 1002") == []
    (line,) = wrong(*served, "process kube-controller-manager 1000", f"{conf} 1003")
    assert line.startswith(": kube-controller-manager began before controller-manager.conf was written")


def test_a_host_that_was_not_looked_at_is_no_host_that_is_well() -> None:
    there, told = certificates.of_all([Facts("m1"), read({"certificates": "untold ss: no such file"})], NOW)
    assert there == []
    assert told == ["m1: the look has no answer for 'certificates'", ": not known: ss: no such file"]


def test_a_renewal_that_was_broken_off_is_told() -> None:
    (line,), (other,) = wrong("renewal_begun yes"), wrong("remake_begun yes")
    assert line == other == ": a renewal of certificates was begun and not finished: inv certs.renew"


def test_an_api_servers_certificate_that_is_missing_is_told_while_it_runs() -> None:
    (line,) = wrong(API_RUNS, f"served 6443 {der(300)}")
    assert line == f": {API} is missing: inv certs.renew"
    assert wrong(API_RUNS, f"served 6443 {der(300)}", "otherwise 6443") == []


ADMIN = "client /etc/kubernetes/admin.conf"


CA = f"certificate {certificates.PKI}/ca.crt {der(3000, authority=True, name='ours')}"


@pytest.mark.parametrize(
    ("login", "is_former"),
    [
        (pem(100, name="admin", by="ours"), True),
        (pem(300, name="admin", by="ours"), False),
        (pem(400, name="admin", by="ours"), False),
        (pem(100, name="alice", by="ours"), False),
        (pem(100, name="admin", by="theirs"), False),
        ("", False),
        ("!", False),
    ],
)
def test_what_a_login_has_is_the_admins_of_before_where_the_same_user_ends_sooner(login: str, is_former: bool) -> None:
    """By the word of this cluster's authority: somebody's may be of another cluster, whose admin is called the same."""
    told = host(f"{ADMIN} {pem(300, name='admin', by='ours')}", CA, f"login {login}").certificates
    assert certificates.former(told) == ([login] if is_former else [])


def test_of_several_that_a_login_has_each_is_judged_by_itself() -> None:
    old, other = pem(100, name="admin", by="ours"), pem(100, name="admin", by="theirs")
    told = host(f"{ADMIN} {pem(300, name='admin', by='ours')}", CA, f"login {other}", f"login {old}").certificates
    assert certificates.former(told) == [old]


FORMER = pem(100, name="admin", by="ours")


@pytest.mark.parametrize(
    ("apart", "told"),
    [
        (FORMER, "an older certificate of the admin's"),
        ("", "not understood"),
        ("QUJD", "not understood"),
        (pem(300, name="admin", by="ours"), ""),
        (pem(100, name="admin", by="theirs"), ""),
        (pem(100, name="alice", by="ours"), ""),
    ],
)
def test_what_no_renewal_follows_in_a_logins_kubeconfig_is_told_with_what_to_do(apart: str, told: str) -> None:
    facts = host(f"{ADMIN} {pem(300, name='admin', by='ours')}", CA, f"login_apart {apart}")
    lines = certificates.of_all([facts], NOW)[1]
    assert [(told in line, "kubectl --kubeconfig config config view --raw --flatten" in line) for line in lines] == (
        [(True, True)] if told else []
    )
    assert certificates.former(facts.certificates) == certificates.problems(facts, NOW) == []


@pytest.mark.parametrize("apart", [FORMER, ""])
def test_what_a_login_has_on_a_worker_is_nobodys_to_renew(apart: str) -> None:
    assert certificates.of_all([host(CA, f"login_apart {apart}")], NOW)[1] == []


# --- what is printed


def test_the_next_to_end_comes_first() -> None:
    lines = (
        f"certificate {API} {der(40, name='api')}",
        f"certificate {KUBELET} {der(35, name='node')}",
        f"certificate /a {der(9999, authority=True)}",
    )
    data = certificates.as_data("lab", certificates.found(host(*lines)), [], NOW)
    assert [(row[2], row[4]) for row in certificates.rows(data)] == [
        ("node", "35"),
        ("api", "40"),
        ("x, an authority", "9999"),
    ]
    assert certificates.rows(data)[1][1] == "pki/apiserver.crt"


def test_all_is_well_is_said_by_the_exit_status(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.put_cluster("manager")
    run("manager").parts["certificates"] = f"certificate {API} {der(9999)}"
    runbook.show_certificates(run.context, as_json=False)
    assert capsys.readouterr().out.endswith("lab: all certificates are well\n")


def test_a_host_that_is_away_is_wrong(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def away() -> None:
        raise HostError("cannot be reached")

    run.put_cluster("manager")
    run("manager").parts["certificates"] = f"certificate {API} {der(9999)}"
    run("client").on_look = away
    with pytest.raises(Exit) as ended:
        runbook.show_certificates(run.context, as_json=True)
    assert ended.value.code == 1
    assert '"client: cannot be reached"' in capsys.readouterr().out


def test_without_a_cluster_the_command_that_makes_one_is_told(run: Run) -> None:
    with pytest.raises(KubefabError, match=r"inv cluster\.up"):
        runbook.show_certificates(run.context, as_json=False)


def test_a_status_warns_of_it() -> None:
    live = ClusterFacts(speaker="manager")
    near = Facts("manager", {"certificates": known(issued={API: der(10)}).certificates}, live)
    told = status(Found(inventory(), live, {"manager": near}, {}, now=NOW))
    assert (told.state, told.cure) == (State.WRONG, "inv certs.status")
    assert "apiserver.crt ends in 10 days" in told.problems[0].text
    assert status(Found(inventory(), live, {"manager": Facts("manager", {}, live)}, {}, now=NOW)).state is State.WELL


def test_both_say_that_all_is_well_where_so_short_a_life_was_asked_for(run: Run) -> None:
    life = timedelta(days=20)
    body = der((datetime.now(UTC) - NOW) / timedelta(days=1) + 19, life)
    run.put_cluster("manager")
    run("manager").parts["certificates"] = f"certificate {API} {body}"
    asked = b64encode(b"certificateValidityPeriod: 480h0m0s\n").decode()
    run("manager").parts["kubeadm"] = f"configuration {asked}"
    runbook.show_certificates(run.context, as_json=False)
    whole = read({"certificates": f"certificate {API} {der(19, life)}", "kubeadm": f"configuration {asked}"}).parts
    parts = {name: whole[name] for name in ("certificates", "kubeadm")}
    live = ClusterFacts(speaker="manager")
    assert status(Found(inventory(), live, {"manager": Facts("manager", parts, live)}, {}, now=NOW)).state is State.WELL
