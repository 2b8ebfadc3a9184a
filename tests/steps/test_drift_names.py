"""The names that hosts.yml gives API servers are in the certificates that they serve."""

from typing import Any

from kubefab.facts import Facts
from kubefab.inventory import Inventory
from kubefab.steps import drift, drift_names, renewal
from tests.facts import with_
from tests.fakes import FakeHost, cluster, inventory, step
from tests.steps.test_renewal import NAMED, with_names, written

MAKE = "the API server's certificate has the names of hosts.yml"
BEGIN = "the API server is younger than its certificate"


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


def test_a_name_of_hosts_yml_comes_into_the_certificate_and_it_is_told_which_api_server_restarts() -> None:
    facts = with_names("api.example.org")
    host, steps = at(facts)
    make = step(steps, MAKE)
    assert (make.gap(facts), make.warning) == ("without 10.9.0.1", "the API server of manager restarts")
    assert make.close
    make.close(host)
    assert host.world.ran == [f"remake-server-certificate.sh {renewal.REMADE}"]
    assert make.gap(with_names("api.example.org", "10.9.0.1")) is None


def test_an_api_server_that_began_before_begins_anew_by_its_manifest() -> None:
    host, steps = at(written(-60))
    begin = step(steps, BEGIN)
    assert begin.gap(written(-60)) == f"it began before {renewal.SERVER}"
    assert begin.gap(written(60)) is None
    assert begin.close
    begin.close(host)
    assert host.world.ran == [f"restart-static-pod.sh manifest kube-apiserver {renewal.SERVER}"]


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
