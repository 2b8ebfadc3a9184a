"""The names that hosts.yml gives API servers are in the certificates that they serve."""

from typing import Any

import pytest

from kubefab.errors import Silent
from kubefab.facts import Facts, Manifest
from kubefab.inventory import Inventory
from kubefab.steps import drift, drift_names, renewal
from tests.facts import with_
from tests.fakes import FakeHost, cluster, inventory, step
from tests.steps.test_renewal import LONG, NAMED, with_names
from tests.test_certificates import der

MAKE = "the API server's certificate has the names of hosts.yml"
SERVE = "the API server serves the names of hosts.yml"


def at(facts: Facts, wanted: str | Inventory = NAMED) -> tuple[FakeHost, list[Any]]:
    made = cluster(wanted)
    made._alone["manager"] = facts
    host = made.hosts["manager"]
    assert isinstance(host, FakeHost)
    return host, drift_names.server(made, host)


def test_where_hosts_yml_names_none_nothing_is_asked_of_certificates() -> None:
    made = cluster()
    assert drift_names.server(made, made.hosts["manager"]) == []
    assert "certificates" not in made._whole(made.hosts["manager"])
    made = cluster(NAMED)
    assert "certificates" in made._whole(made.hosts["manager"])
    assert "certificates" not in made._whole(made.hosts["client"])
    assert drift_names.server(made, made.hosts["client"]) == []


def test_a_name_of_hosts_yml_comes_into_the_certificate() -> None:
    facts = with_names("api.example.org")
    host, steps = at(facts)
    make = step(steps, MAKE)
    assert make.gap(facts) == "without 10.9.0.1"
    assert make.close
    make.close(host)
    assert host.world.ran == [f"remake-server-certificate.sh {renewal.REMADE}"]
    assert make.gap(with_names("api.example.org", "10.9.0.1")) is None


def serving(*names: str, **said: Any) -> Facts:
    """An API server that shows a certificate with these names."""
    return with_(with_names("api.example.org", "10.9.0.1"), served={"6443": der(LONG, names=names)}, **said)


OLD = serving("api.example.org")


def test_an_api_server_that_shows_one_without_the_name_restarts_and_that_is_told_before() -> None:
    serve = step(at(OLD)[1], SERVE)
    assert (serve.gap(OLD), serve.warning) == ("without 10.9.0.1", "the API server of manager restarts")
    assert serve.gap(with_(OLD, issued={})) == "without 10.9.0.1"  # a dry run tells it before there is another one
    assert serve.gap(serving("api.example.org", "10.9.0.1", "more")) is None


def test_a_certificate_that_somebody_else_has_renewed_restarts_nothing() -> None:
    """`kubeadm certs renew all`, of a timer say: its files are younger than what runs, and the names are there."""
    facts = serving(
        "api.example.org", "10.9.0.1", "renewed", written={renewal.SERVER: 900}, began={"kube-apiserver": 1}
    )
    assert [one.title for one in at(facts)[1] if one.close and one.gap(facts)] == []


def test_who_does_not_run_for_a_moment_shows_nothing() -> None:
    """An API server in the second of its restart is no reason for another one."""
    serve = step(at(OLD)[1], SERVE)
    for served in ({}, {"6443": "none"}):
        with pytest.raises(Silent, match="no API server shows its certificate at 6443"):
            serve.gap(with_(OLD, served=served))


@pytest.mark.parametrize(
    "facts",
    [
        with_(OLD, admin_ca=""),
        with_(OLD, unserved="openssl is not installed there"),
        with_(OLD, otherwise=("6443",)),
        with_(OLD, served={}, now={"kube-apiserver": Manifest("x", {"--secure-port": "7443"})}),
    ],
)
def test_where_nobody_can_ask_for_it_nothing_is_known(facts: Facts) -> None:
    assert step(at(OLD)[1], SERVE).gap(facts) is None


def test_a_manifest_that_kubefab_has_not_made_stays_as_it_is() -> None:
    ours = Manifest("x")
    for marks, how in (((), "process"), (("kube-apiserver x",), "manifest")):
        host, steps = at(with_(OLD, now={"kube-apiserver": ours}, marks=marks))
        close = step(steps, SERVE).close
        assert close
        close(host)
        assert host.world.ran == [f"restart-static-pod.sh {how} kube-apiserver {renewal.SERVER}"]


def test_a_master_without_the_authoritys_key_can_sign_for_no_name() -> None:
    gap = drift_names.unsigned(inventory(NAMED))
    keyless = with_(with_names("api.example.org"), keys_missing=("ca.key",))
    assert gap(keyless) == "/etc/kubernetes/pki/ca.key is not there, and the certificate is without 10.9.0.1"
    assert gap(with_names("api.example.org")) is None
    assert gap(with_(with_names("api.example.org", "10.9.0.1"), keys_missing=("ca.key",))) is None


def test_the_names_come_after_the_flags_and_before_what_kubeadm_keeps() -> None:
    made = cluster(NAMED)
    titles = [one.title for one in drift.control_plane(made, made.hosts["manager"])]
    assert titles.index("kube-scheduler is what hosts.yml says") < titles.index(MAKE)
    assert titles.index(MAKE) < titles.index("kubeadm's configuration is what hosts.yml says")
