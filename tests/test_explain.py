"""A running cluster, explained: from a master's facts to plain data, and to a tree for people."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kubefab import explain, report
from kubefab.facts import ClusterFacts, Facts, Node, Workload
from tests.facts import known

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SERVER = "https://lab.kubefab.internal:6443"


@cache
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def certificate(subject: str, issuer: str, days: int, group: str = "", name: str = "") -> x509.Certificate:
    parts = [(NameOID.COMMON_NAME, subject), *([(NameOID.ORGANIZATION_NAME, group)] if group else [])]
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(kind, value) for kind, value in parts]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key().public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=days, hours=1))
    )
    if name:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return made.sign(key(), hashes.SHA256())


def der(made: x509.Certificate) -> str:
    return b64encode(made.public_bytes(serialization.Encoding.DER)).decode()


def pem(made: x509.Certificate) -> str:
    return b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


def base64(text: str) -> str:
    return b64encode(text.encode()).decode()


KUBELET = "/var/lib/kubelet/pki/kubelet-client-current.pem"


def master(**other: Any) -> Facts:
    live = ClusterFacts(
        version="1.37.2",
        nodes={"manager": Node("manager", taints={"node-role.kubernetes.io/control-plane": "NoSchedule"})},
        workloads={"kube-system/coredns": Workload(wanted=2, ready=1, images=("registry.k8s.io/coredns:v1",))},
    )
    ca = certificate("kubernetes", "kubernetes", 3650)
    return known(
        **{
            "certificates": {
                "/etc/kubernetes/pki/ca.crt": der(ca),
                "/etc/kubernetes/pki/apiserver.crt": der(
                    certificate("kube-apiserver", "kubernetes", 12, name="kubernetes")
                ),
                KUBELET: der(certificate("system:node:manager", "kubernetes", 364, group="system:nodes")),
            },
            "confs": {
                "/etc/kubernetes/admin.conf": f"{SERVER} {pem(certificate('kubernetes-admin', 'kubernetes', 364))}",
                "/etc/kubernetes/kubelet.conf": f"{SERVER} {KUBELET}",
                "/etc/kubernetes/bootstrap-kubelet.conf": SERVER,
            },
            "static_pods": {"/etc/kubernetes/manifests/etcd.yaml": "registry.k8s.io/etcd:3.7.0-0"},
            "tokens": {base64("abcdef"): f"{base64('2026-11-22T00:10:00Z')} {base64('kubefab:client')}"},
            "info_server": SERVER,
            "tokens_told": True,
            "info_told": True,
            "info_ca": "aa",
            "admin_ca": "aa",
            "readyz": "ok",
            "cluster": live,
            **other,
        }
    )


def told(**other: Any) -> dict[str, Any]:
    return explain.explained(master(**other), NOW)


def tree(**other: Any) -> list[str]:
    return explain.as_tree("lab", told(**other)).splitlines()


def line(lines: list[str], words: str) -> str:
    (found,) = [one for one in lines if words in one]
    return found


def test_it_is_plain_data_for_machines() -> None:
    assert json.loads(report.as_json(told())) == told()


def test_a_certificate_says_whose_it_is_who_signed_it_for_which_names_and_until_when() -> None:
    one = next(one for one in told()["certificates"] if one["file"].endswith("apiserver.crt"))
    assert (one["subject"], one["issuer"], one["names"]) == ("kube-apiserver", "kubernetes", ["kubernetes"])
    assert one["expires"] == "2026-12-04T01:00:00+00:00"
    assert one["days"] == 12


@pytest.mark.parametrize(
    ("name", "subject", "group"),
    [("admin.conf", "kubernetes-admin", ""), ("kubelet.conf", "system:node:manager", "system:nodes")],
)
def test_a_conf_says_whom_it_serves_wherever_its_certificate_is(name: str, subject: str, group: str) -> None:
    one = next(one for one in told()["confs"] if one["file"].endswith(f"/{name}"))
    assert one["serves"]
    assert (one["subject"], one["groups"], one["server"], one["days"]) == (subject, group, SERVER, 364)


def test_a_conf_without_a_certificate_speaks_by_a_token() -> None:
    assert "by a token" in line(tree(), "bootstrap-kubelet.conf")


@pytest.mark.parametrize("body", ["", "none", "not base64", "QUJD"])
def test_bytes_that_are_no_certificate_are_unreadable(body: str) -> None:
    """As a power cut leaves a file, or a hand."""
    lines = tree(
        certificates={f"{explain.PKI}/apiserver.crt": body, KUBELET: body},
        confs={"/etc/kubernetes/admin.conf": f"{SERVER} {body or 'x'}", "kubelet.conf": f"{SERVER} {KUBELET}"},
    )
    assert sum("unreadable" in one for one in lines) == 3


def test_certificates_are_below_the_authority_that_signed_them() -> None:
    lines = tree()
    authority, signed = (line(lines, name) for name in ("ca.crt", "apiserver.crt"))
    assert lines.index(signed) == lines.index(authority) + 1
    assert len(signed) - len(signed.lstrip("│├└─ ")) > len(authority) - len(authority.lstrip("│├└─ "))


def test_a_token_is_told_without_its_secret() -> None:
    assert told()["tokens"] == [
        {"id": "abcdef", "description": "kubefab:client", "expires": "2026-11-22T00:10:00+00:00", "days": 0}
    ]
    assert "kubefab:client" in line(tree(), "abcdef")


def test_a_token_may_have_no_end_and_no_description() -> None:
    assert "never ends" in line(tree(tokens={base64("abcdef"): ""}), "abcdef")


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (base64("2026-11-22T00:10:00"), "until 2026-11-22 00:10 UTC, 0 days"),
        (base64("tomorrow"), "its end cannot be read: tomorrow"),
        ("no", "its end cannot be read: unreadable"),
        (b64encode(b"\xff").decode(), "its end cannot be read: \ufffd"),
    ],
)
def test_a_token_that_somebody_made_by_hand_is_told(end: str, said: str) -> None:
    """The API server checks neither."""
    assert said in line(tree(tokens={base64("abcdef"): f"{end} {base64('mine')}"}), "abcdef")


def test_without_tokens_it_says_how_machines_join() -> None:
    assert any("each join gets one of its own" in one for one in tree(tokens={}))


def test_a_cluster_info_that_trusts_another_authority_is_told() -> None:
    assert "the CA of this cluster" in line(tree(), "CA of this cluster")
    assert any("ANOTHER CA" in one for one in tree(info_ca="bb"))
    assert any("by token alone does not work" in one for one in tree(info_server=""))


def test_addons_and_taints_are_those_of_the_cluster() -> None:
    assert "1 of 2 answer" in line(tree(), "coredns")
    assert any("manager  node-role.kubernetes.io/control-plane:NoSchedule" in one for one in tree())


def test_what_a_silent_api_server_alone_knows_is_not_made_up() -> None:
    silent = told(cluster=ClusterFacts(version="1.37.2", silent="refused"))
    assert silent["silent"] == "refused"
    assert [silent[name] for name in explain.TOLD_BY_THE_API_SERVER] == [None] * 4
    assert len(silent["certificates"]) == 2
    lines = explain.as_tree("lab", silent).splitlines()
    assert sum("not known" in one for one in lines) == 4


def test_no_line_is_cut_where_there_is_no_terminal() -> None:
    long = "registry.k8s.io/" + "x" * 300
    assert any(long in one for one in tree(static_pods={"/etc/kubernetes/manifests/etcd.yaml": long}))


def test_what_the_api_server_did_not_say_is_not_known() -> None:
    """It may give the nodes, and no tokens: it is not said then that there is none."""
    found = told(tokens_told=False, tokens={}, info_told=False, info_server="")
    assert (found["tokens"], found["cluster_info"]) == (None, None)
    assert found["addons"] is not None
