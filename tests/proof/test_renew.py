"""Certificates of one master and one worker are renewed: near their end, ended, killed meanwhile, without a name."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.settings import address
from tests.e2e.harness import (
    MASTER,
    WORKER,
    Kubefab,
    eventually,
    in_time,
    on,
    true_on,
    untouched,
)
from tests.e2e.renewals import OVER, SOON, Authorities, aged, ages, authorities, ends, is_dead, is_renewed, served

from .upgrades import killed_after_a_new_step

COVERS = (
    "kubefab/renewing.py",
    "kubefab/steps/renewal.py",
    "kubefab/certificates.py",
    "scripts/renew-*.sh",
    "scripts/remake-*-certificate.sh",
    "scripts/restart-static-pod.sh",
    "scripts/*-kubelet.sh",
    "scripts/look/certificates.sh",
    "scripts/look/kubelet.sh",
    "scripts/shared/manifest.sh",
    "scripts/shared/podded.sh",
    "scripts/shared/static.sh",
)
WELL = [MASTER], [WORKER]


@pytest.fixture
def ours(cluster: Kubefab) -> Authorities:
    """A cluster of a master and a worker, all of it well; and who signs in it."""
    return authorities(MASTER)


def test_what_is_good_for_a_year_is_left_alone(ours: Authorities, inv: Kubefab) -> None:
    inv("certs.renew").well()
    with untouched(MASTER, WORKER):
        assert "nothing to do" in inv("certs.renew").well().stdout


@contextmanager
def with_a_namespace_of_the_logins(name: str) -> Iterator[None]:
    """What somebody has said in ~/.kube/config besides; afterwards it is the admin's again."""
    admin = "cp /etc/kubernetes/admin.conf /root/.kube/config"
    on(MASTER, f"{admin}; kubectl config set-context --current --namespace {name}")
    try:
        yield
    finally:
        on(MASTER, admin)


def test_what_ends_soon_is_renewed_and_served_and_who_has_a_copy_follows(
    ours: Authorities, inv: Kubefab, tmp_path: Path
) -> None:
    own = tmp_path / "kubeconfig"
    env = {"KUBECONFIG": own}
    aged(ours, [MASTER], SOON)
    eventually(lambda: inv("certs.status").status == 1 and true_on(MASTER, "kubectl get nodes"))
    inv("cluster.kubeconfig", env=env).well()
    serials, programs = served(MASTER), ages(MASTER)
    with with_a_namespace_of_the_logins("web"):
        done = inv("certs.renew", env=env).well()
        login = yaml.safe_load(on(MASTER, "cat /root/.kube/config"))
    in_time("one master's certificates are renewed", 90, done)
    assert f"renewed in {own}" in done.stdout
    assert not {*serials.values()} & {*served(MASTER).values()}
    assert not {*programs.values()} & {*ages(MASTER).values()}
    admin = yaml.safe_load(on(MASTER, "cat /etc/kubernetes/admin.conf"))["users"][0]["user"]
    credentials = yaml.safe_load(own.read_text())["users"][0]["user"]
    assert credentials["client-certificate-data"] == admin["client-certificate-data"]
    assert on(MASTER, "ls /root/.kube | grep before-kubefab; true") == ""
    assert (login["contexts"][0]["context"]["namespace"], login["users"][0]["user"]) == ("web", admin)
    is_renewed(inv, *WELL)


def test_a_dry_run_tells_it_and_touches_nothing(ours: Authorities, inv: Kubefab) -> None:
    aged(ours, [MASTER], SOON)
    eventually(lambda: true_on(MASTER, "kubectl get nodes"))
    with untouched(MASTER, WORKER):
        assert "certificates do not end soon  (now: " in inv("--dry", "certs.renew").well().stdout
    inv("certs.renew").well()


def test_killed_after_each_step_the_same_command_goes_on_to_the_same_end(ours: Authorities, inv: Kubefab) -> None:
    aged(ours, [MASTER, WORKER], OVER, kubelets=True)
    is_dead([MASTER])
    done: set[tuple[str, str]] = set()
    while new := killed_after_a_new_step(inv, done, (MASTER, WORKER), "certs.renew"):
        done |= new
    assert {host for host, _ in done} == {MASTER, WORKER}
    is_renewed(inv, *WELL)


# kubeadm writes the new key of a pair, and has not written the certificate when the power goes: so does this one.
KILLED = """\
#!/bin/sh
echo torn >/etc/kubernetes/pki/apiserver.key
: >/etc/kubernetes/pki/apiserver.crt
kill -KILL $PPID
"""


def test_a_pair_that_kubeadm_was_killed_at_is_made_of_what_was_before(ours: Authorities, inv: Kubefab) -> None:
    aged(ours, [MASTER], SOON)
    eventually(lambda: true_on(MASTER, "kubectl get nodes"))
    on(MASTER, "cat >/tmp/kubeadm; chmod +x /tmp/kubeadm", stdin=KILLED)
    on(MASTER, 'mount --bind /tmp/kubeadm "$(command -v kubeadm)"')
    try:
        inv("certs.renew").badly()
    finally:
        on(MASTER, 'umount "$(command -v kubeadm)"')
    assert "begun and not finished" in inv("certs.status").badly().stdout
    inv("certs.renew").well()
    is_renewed(inv, *WELL)


def test_one_of_the_api_servers_that_was_cut_off_as_it_was_made_is_told_and_takes_its_place(
    ours: Authorities, inv: Kubefab
) -> None:
    """As scripts/remake-server-certificate.sh leaves it, killed once the old one has gone."""
    cut = "mkdir -m 0700 pki-remade; cp -a pki/apiserver.key pki-remade; mv pki/apiserver.crt pki-remade"
    on(MASTER, f"cd /etc/kubernetes; {cut}")
    told = inv("certs.status").badly().stdout
    assert "begun and not finished" in told
    assert "pki/apiserver.crt is missing" in told
    inv("certs.renew").well()
    is_renewed(inv, *WELL)


def test_a_kubelet_serves_its_file_where_that_was_replaced(ours: Authorities, inv: Kubefab) -> None:
    pki = "/var/lib/kubelet/pki"
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=replaced"
    on(WORKER, f"cd {pki}; {made} -keyout kubelet.key -out kubelet.crt 2>/dev/null")
    inv("certs.renew").well()
    shown = f"timeout 5 openssl s_client -connect {address(WORKER)}:10250 </dev/null 2>/dev/null"
    assert "replaced" in on(WORKER, f"{shown} | openssl x509 -noout -subject")
    is_renewed(inv, *WELL)


def saying(inv: Kubefab, folder: Path, **configuration: Any) -> Path:
    """A hosts.yml with these fields of ClusterConfiguration."""
    document = yaml.safe_load(inv.hosts.read_text())
    document["cluster"].setdefault("kubeadm", {})["ClusterConfiguration"] = configuration
    path = folder / "saying.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def test_new_certificates_are_good_for_as_long_as_hosts_yml_asks_though_no_api_server_answers(
    ours: Authorities, inv: Kubefab, tmp_path: Path
) -> None:
    """kubeadm alone would ask one, and make them good for a year without its word."""
    asked = timedelta(hours=2000)
    aged(ours, [MASTER, WORKER], OVER, kubelets=True)
    is_dead([MASTER])
    inv("certs.renew", hosts=saying(inv, tmp_path, certificateValidityPeriod="2000h")).well()
    left = {name: end - datetime.now(UTC) for name, end in ends(MASTER).items()}
    assert {"pki/apiserver.crt", "pki/etcd/server.crt", "admin.conf"} <= left.keys()
    assert {name: one for name, one in left.items() if not asked - timedelta(hours=1) < one <= asked} == {}
    is_renewed(inv, *WELL)


def test_a_name_that_hosts_yml_asks_for_is_one_of_the_api_servers(
    ours: Authorities, inv: Kubefab, tmp_path: Path
) -> None:
    named = saying(inv, tmp_path, apiServer={"certSANs": ["api.example.org"]})
    inv("certs.renew", hosts=named).well()
    shown = "timeout 5 openssl s_client -connect 127.0.0.1:6443 </dev/null 2>/dev/null"
    names = on(MASTER, f"{shown} | openssl x509 -noout -ext subjectAltName")
    assert "DNS:api.example.org" in names
    assert f"IP Address:{address(MASTER)}" in names
    assert "nothing to do" in inv("certs.renew", hosts=named).well().stdout


def test_without_the_key_of_the_authority_nothing_is_changed(ours: Authorities, inv: Kubefab) -> None:
    aged(ours, [MASTER], SOON)
    eventually(lambda: true_on(MASTER, "kubectl get nodes"))
    on(MASTER, "mv /etc/kubernetes/pki/ca.key /root/ca.key")
    try:
        with untouched(MASTER, WORKER):
            assert "is without /etc/kubernetes/pki/ca.key" in inv("certs.renew").badly().said
    finally:
        on(MASTER, "mv /root/ca.key /etc/kubernetes/pki/ca.key")
    inv("certs.renew").well()
