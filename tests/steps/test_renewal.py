"""Certificates that are to be renewed, and whoever has to begin anew with them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import yaml

from kubefab.certificates import CLIENT, PKI, SELF_MADE, SIGNED
from kubefab.facts import ClusterFacts, Configuration, Facts, Member, Node
from kubefab.kubeadm import certificate_documents
from kubefab.step import Gap
from kubefab.steps import renewal
from tests.facts import known, with_
from tests.fakes import HOSTS, cluster, inventory, looked, step
from tests.test_certificates import NOW, der, pem
from tests.test_step import changes_of

LONG, SHORT, OVER = 300.0, 20.0, -1.0  # days that are left of a year
PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NAMED = HOSTS.replace(
    "1.37.2\n", "1.37.2\n  kubeadm: {ClusterConfiguration: {apiServer: {certSANs: [API.example.org, '10.9.0.1']}}}\n"
)
ASKED = HOSTS.replace("1.37.2\n", "1.37.2\n  kubeadm: {ClusterConfiguration: {certificateValidityPeriod: 24h}}\n")
KEPT = Configuration("apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n")


def master(days: float = LONG, **said: Any) -> Facts:
    """One whose certificates are all of one age, as its clock shows it."""
    issued = {f"/etc/kubernetes/{name}": der(days) for name in SIGNED if name.endswith(".crt")}
    issued |= {f"{PKI}/{name}.crt": der(3000, authority=True) for name in ("ca", "front-proxy-ca", "etcd/ca")}
    return known(
        "manager",
        **{
            "clock": NOW.timestamp(),
            "admin_ca": "aaa",
            "manifests": tuple(f"{name}.yaml" for name in PODS),
            "issued": issued,
            "clients": {f"/etc/kubernetes/{name}": pem(days) for name in SIGNED if name.endswith(".conf")},
            **said,
        },
    )


def issued(facts: Facts, **them: str) -> Facts:
    """With these in place of others: `apiserver`, `etcd_server`."""
    told = {f"{PKI}/{name.replace('_', '/')}.crt": body for name, body in them.items()}
    return with_(facts, issued={**facts.certificates.issued, **told})


DUE, ENDED = renewal.renewable(inventory(), renewal.due(inventory())), renewal.renewable(inventory(), renewal.ended)

# --- what is renewed


@pytest.mark.parametrize(("gap", "day"), [(DUE, LONG), (ENDED, LONG), (ENDED, SHORT)])
def test_what_is_good_for_longer_stays(gap: Gap, day: float) -> None:
    assert gap(master(day)) is None


@pytest.mark.parametrize(("gap", "day"), [(DUE, SHORT), (DUE, OVER), (ENDED, OVER)])
def test_what_kubeadm_renews_is_told_by_its_end(gap: Gap, day: float) -> None:
    assert gap(master(day)) == (
        f"admin.conf {'ended 2026-11-25' if day < 0 else 'ends 2026-12-16'} 00:00 UTC, and {len(SIGNED) - 1} more"
    )


def test_the_first_to_end_is_named() -> None:
    assert DUE(issued(master(SHORT), etcd_peer=der(SHORT - 1))) == (
        f"pki/etcd/peer.crt ends 2026-12-15 00:00 UTC, and {len(SIGNED) - 1} more"
    )


@pytest.mark.parametrize(
    ("days", "text", "told", "period", "is_said"),
    [
        (1, HOSTS, None, None, True),
        (29, HOSTS, None, None, True),
        (40, HOSTS, None, "960h", False),
        (1, ASKED, None, "24h", False),
        (1, HOSTS, KEPT, None, False),
        (1, HOSTS.replace("1.37.2", "1.30.0"), None, None, False),
    ],
)
def test_a_short_life_that_nobody_has_asked_for_is_no_wish_and_that_is_said(
    days: int, text: str, told: Configuration | None, period: str | None, is_said: bool
) -> None:
    made = cluster(text)
    facts = issued(master(OVER, configuration=told), apiserver=der(OVER, timedelta(days=days)))
    documents = yaml.safe_load_all(renewal.documents(made, made.founder, facts))
    assert [one.get("certificateValidityPeriod") for one in documents][1] == period
    gap = str(renewal.renewable(made.inventory, renewal.ended)(facts))
    assert gap.endswith("; nobody says how long new ones are to be good: a year, as kubeadm has it") == is_said


def test_what_others_have_put_there_is_theirs_to_renew() -> None:
    assert DUE(issued(master(), mine=der(OVER))) is None


def test_an_etcd_that_is_elsewhere_has_its_owners_certificates() -> None:
    facts = issued(master(), etcd_server=der(OVER), **{"apiserver-etcd-client": der(OVER)})
    assert DUE(facts)
    assert DUE(with_(facts, servers="https://10.9.9.9:2379")) is None


def test_what_cannot_be_read_is_renewed() -> None:
    assert DUE(issued(master(configuration=KEPT), apiserver="")) == "pki/apiserver.crt cannot be read"


@pytest.mark.parametrize(("left", "is_due"), [(9, False), (7, True)])
def test_a_short_life_is_a_wish_only_where_somebody_asks_for_it(left: float, is_due: bool) -> None:
    """960 hours are 40 days, of which 8 are a fifth."""
    facts = issued(master(), apiserver=der(left, timedelta(days=20)))
    assert DUE(facts)
    period = "kubeadm: {ClusterConfiguration: {certificateValidityPeriod: 960h}}"
    wanted = inventory(HOSTS.replace("1.37.2\n", f"1.37.2\n  {period}\n"))
    assert bool(renewal.renewable(wanted, renewal.due(wanted))(facts)) is is_due
    kept = with_(facts, configuration=Configuration("certificateValidityPeriod: 960h0m0s\n"))
    assert bool(DUE(kept)) is is_due


@pytest.mark.parametrize("gap", [DUE, ENDED])
def test_a_renewal_that_was_broken_off_is_taken_up(gap: Gap) -> None:
    assert gap(master(renewal_begun=True)) == "a renewal of certificates was begun and not finished"


def test_time_is_the_hosts_own() -> None:
    late = NOW + timedelta(days=400)
    assert ENDED(master(clock=late.timestamp()))


# --- where nobody here can sign


@pytest.mark.parametrize(
    ("key", "file"),
    [("ca", "apiserver"), ("etcd/ca", "etcd_peer"), ("front-proxy-ca", "front-proxy-client")],
)
def test_without_the_key_of_its_authority_nothing_is_renewed(key: str, file: str) -> None:
    gap, facts = renewal.unsigned(inventory()), issued(master(), **{file: der(OVER)})
    assert gap(facts) is None
    assert gap(with_(facts, keys_missing=(f"{key}.key",))) == f"manager is without {PKI}/{key}.key"


def test_a_key_that_is_kept_elsewhere_is_missed_by_nobody_before_it_is_needed() -> None:
    assert renewal.unsigned(inventory())(master(keys_missing=("ca.key",))) is None


def test_a_name_that_is_missing_wants_a_signature_too() -> None:
    assert renewal.unsigned(inventory(NAMED))(master(keys_missing=("ca.key",))) == f"manager is without {PKI}/ca.key"


def test_what_an_ended_authority_signs_is_worth_nothing() -> None:
    gap, facts = renewal.lapsed(inventory()), issued(master(SHORT), ca=der(OVER, authority=True))
    assert gap(facts) == "pki/ca.crt ended 2026-11-25 00:00 UTC"
    assert gap(issued(master(), ca=der(OVER, authority=True))) is None
    assert gap(issued(master(SHORT), ca=der(SHORT, authority=True))) is None


# --- the names of the API server


def with_names(*names: str) -> Facts:
    return issued(master(), apiserver=der(LONG, names=names))


def test_a_name_that_hosts_yml_asks_for_and_nobody_is_known_by_is_missing() -> None:
    gap = renewal.nameless(inventory(NAMED))
    assert gap(with_names("api.example.org")) == "without 10.9.0.1"
    assert gap(with_names("api.example.org", "10.9.0.1", "more")) is None


def test_what_kubeadms_own_configuration_asks_for_is_wanted_too() -> None:
    told = Configuration("", endpoint="lab.example.org:6443", sans=("localhost",))
    gap = renewal.nameless(inventory())
    assert gap(with_(with_names("x"), configuration=told)) == "without lab.example.org, localhost"


def test_a_cluster_made_by_hand_lacks_nothing_that_nobody_has_asked_for() -> None:
    assert renewal.nameless(inventory())(with_names("x")) is None


def test_one_that_is_missing_was_being_made() -> None:
    facts = master(issued={}, configuration=KEPT)
    assert renewal.nameless(inventory())(facts) == f"{PKI}/apiserver.crt is missing"
    untold = "nobody says how long new ones are to be good: a year, as kubeadm has it"
    assert renewal.nameless(inventory())(master(issued={})) == f"{PKI}/apiserver.crt is missing; {untold}"
    assert renewal.nameless(inventory())(with_(facts, otherwise=("6443",))) is None


def test_no_name_is_lost_by_it() -> None:
    made = cluster(NAMED)
    told = Configuration(
        "kind: ClusterConfiguration\napiVersion: v1\napiServer: {certSANs: [localhost]}\n", "", ("localhost",)
    )
    text = renewal.documents(made, made.founder, with_(with_names("by-hand"), configuration=told), renewal.REMADE)
    _, document = yaml.safe_load_all(text)
    assert document["apiServer"]["certSANs"] == ["10.9.0.1", "api.example.org", "by-hand", "localhost"]
    assert document["certificatesDir"] == renewal.REMADE


# --- whoever has read an earlier one

WRITTEN = NOW.timestamp()


def written(began: float | None, **said: Any) -> Facts:
    """All certificates were written at one time; all pods began so many seconds after it."""
    pods = (renewal.ETCD, renewal.API_SERVER, *renewal.CLIENTS)
    times = {file: WRITTEN for pod in pods for file in pod.files}
    processes = {} if began is None else {pod.name: WRITTEN + began for pod in pods}
    return master(written=times, began=processes, **said)


@pytest.mark.parametrize("pod", [renewal.ETCD, renewal.API_SERVER, *renewal.CLIENTS], ids=lambda pod: pod.name)
def test_whoever_began_before_his_certificates_were_written_begins_anew(pod: renewal.Pod) -> None:
    gap = renewal.older(pod)
    assert gap(written(-2)) is None  # clocks of seconds
    assert (gap(written(-3)) or "").startswith(f"it began before {pod.files[0]}")
    assert gap(written(None)) == "it does not run"
    assert gap(written(None, manifests=())) is None


def test_what_is_served_has_to_be_what_its_file_says() -> None:
    facts, gap = master(), renewal.other(renewal.ETCD)
    files = facts.certificates.issued
    served = {"2379": files[f"{PKI}/etcd/server.crt"], "2380": files[f"{PKI}/etcd/peer.crt"]}
    assert gap(with_(facts, served=served)) is None
    assert gap(with_(facts, served={**served, "2380": der(SHORT)})) == "another one, or none, at 2380"
    assert gap(with_(facts, served={**served, "2379": "none"})) == "another one, or none, at 2379"
    assert gap(facts) == "another one, or none, at 2379, 2380"
    assert gap(with_(facts, unserved="openssl is not installed there")) is None
    assert gap(with_(facts, manifests=())) is None
    assert gap(with_(facts, otherwise=("2379", "2380"))) is None


def beside(facts: Facts, *others: Facts) -> Facts:
    return replace(facts, others={one.name: one for one in others})


def test_a_member_is_not_begun_anew_while_another_gives_no_answer() -> None:
    gap, mine = renewal.others_silent(["m2", "m3"]), written(-3, member=Member(1, 1), etcd_runs=True)
    well, silent = replace(master(member=Member(2, 1)), name="m2"), replace(master(), name="m3")
    assert gap(beside(mine, well)) is None
    assert gap(beside(mine, well, silent)) == "no answer from m3"
    assert gap(beside(written(5, member=Member(1, 1)), silent)) is None  # it is not to begin anew
    assert gap(beside(written(-3), silent)) is None  # it has nothing to lose
    assert gap(beside(mine, with_(silent, admin_ca=""))) is None  # it has yet to join


def test_an_etcd_has_to_answer() -> None:
    assert renewal.silent_etcd(master()) == "it does not run"
    assert renewal.silent_etcd(master(etcd_runs=True, etcd_silent="refused")) == "it gives no answer: refused"
    assert renewal.silent_etcd(master(servers="https://10.9.9.9:2379")) is None


# --- kubelets


CA = der(3000, authority=True, name="kubernetes")


def node(days: float, name: str = "worker-1", by: str = "kubernetes", **said: Any) -> Facts:
    facts = known("client", clock=NOW.timestamp(), **said)
    return with_(facts, issued={CLIENT: der(days, name=f"system:node:{name}", by=by)})


def admits(facts: Facts) -> str | None:
    made = cluster()
    title = "the kubelet's client certificate has not ended"
    return step(renewal.kubelet(made, made.hosts["client"]), title).gap(facts)


def test_a_kubelet_is_let_in_again_only_once_it_cannot_help_itself() -> None:
    assert (admits(node(LONG)), admits(node(0.1))) == (None, None)
    assert (admits(node(OVER)) or "").startswith(f"{CLIENT} ended")


def known_as(facts: Facts, *others: Facts) -> str:
    facts = replace(facts, others={one.name: one for one in others})
    return renewal.user(inventory(), facts, issued(master(), ca=CA))


def test_it_is_known_by_the_name_that_it_had() -> None:
    assert known_as(node(OVER)) == "system:node:worker-1"
    assert known_as(known("client")) == "system:node:client"
    in_conf = {"/etc/kubernetes/kubelet.conf": pem(OVER, name="system:node:worker-2", by="kubernetes")}
    assert known_as(known("client", clients=in_conf)) == "system:node:worker-2"


@pytest.mark.parametrize(
    "facts",
    [
        node(OVER, by="somebody"),
        node(OVER, name="manager"),
        with_(node(OVER), issued={CLIENT: "QUJD"}),
        with_(node(OVER), issued={CLIENT: der(OVER, name="system:masters", by="kubernetes")}),
    ],
)
def test_nobody_becomes_another_by_what_he_has_in_a_file(facts: Facts) -> None:
    assert known_as(facts) == "system:node:client"


def test_of_two_that_have_one_name_neither_is_believed() -> None:
    assert known_as(node(OVER), replace(node(LONG), name="other")) == "system:node:client"


def test_the_one_of_a_masters_first_day_may_be_in_its_conf() -> None:
    assert admits(with_(node(LONG), clients={"/etc/kubernetes/kubelet.conf": pem(OVER)}))


def test_for_a_worker_the_speaker_signs_and_has_to_have_the_key() -> None:
    gap = renewal.unsigned_kubelet("manager", "kubeconfig user")
    facts = replace(node(OVER), others={"manager": master(keys_missing=("ca.key",))})
    assert gap(facts) == f"manager is without {PKI}/ca.key"
    assert gap(with_(facts, issued={})) is None


def test_a_kubeadm_that_can_be_told_of_no_cluster_signs_for_nobody() -> None:
    gap = renewal.unsigned_kubelet("manager", "")
    assert gap(node(OVER)) == "this kubeadm cannot be told for which cluster"
    assert gap(node(LONG)) is None


def test_a_kubelet_that_is_not_let_in_is_told_with_the_reason() -> None:
    made = looked({"client": {}})
    gap = step(renewal.admitted(made, made.hosts["client"]), "the API server lets the kubelet in").gap
    assert gap(known(refused="Unauthorized")) == "Unauthorized"
    assert gap(known()) is None


def test_what_a_kubelet_has_made_for_itself_it_makes_again() -> None:
    made = looked({"client": {}})
    gap = step(
        renewal.admitted(made, made.hosts["client"]), "the certificate that the kubelet has made does not end soon"
    ).gap
    facts = known("client", clock=NOW.timestamp())
    assert gap(with_(facts, issued={SELF_MADE: der(LONG)})) is None
    assert gap(with_(facts, issued={SELF_MADE: der(SHORT, name="client@1795671050")}))
    assert gap(with_(facts, issued={SELF_MADE: der(SHORT, name="client.example.org")})) is None  # somebody's own


def serving(body: str, **said: Any) -> Facts:
    """A kubelet that serves this; its file is good for long."""
    served = {"10250": body} if body else {}
    return with_(known("client", clock=NOW.timestamp()), issued={SELF_MADE: der(LONG)}, served=served, **said)


def test_a_kubelet_that_serves_another_certificate_than_its_files_begins_anew() -> None:
    made = looked({"client": {}})
    one = step(renewal.admitted(made, made.hosts["client"]), "the kubelet serves no other certificate than its file's")
    assert one.gap(serving(der(LONG))) == "another one, at 10250"
    assert changes_of(one)[0] == ["restart-service.sh kubelet"]


@pytest.mark.parametrize("body", ["none", ""])
def test_a_kubelet_that_shows_no_certificate_is_waited_for_and_not_begun_anew(body: str) -> None:
    made = looked({"client": {}})
    steps = renewal.admitted(made, made.hosts["client"])
    assert step(steps, "the kubelet serves no other certificate than its file's").gap(serving(body)) is None
    waited = step(steps, "the kubelet serves the certificate of its file")
    assert (waited.gap(serving(body)), waited.close) == ("another one, or none, at 10250", None)
    assert waited.gap(serving(body, unserved="openssl is not installed there")) is None
    assert waited.gap(known("client")) is None


def test_a_node_that_is_not_ready_for_another_reason_is_no_business_of_its_certificates() -> None:
    def told(trouble: str) -> str | None:
        one = Node("client", machine_id="m", trouble=trouble)
        return renewal.unheard(known("client", ClusterFacts(nodes={"client": one}), machine_id="m"))

    assert told("Kubelet stopped posting node status.")
    assert told("container runtime network not ready") is None


# --- one of the API server's that was being made


def test_a_making_that_was_broken_off_is_taken_up_by_the_same_change() -> None:
    gap, facts = renewal.nameless(inventory()), master(remake_begun=True)
    assert gap(facts) == "a renewal of certificates was begun and not finished"
    assert (DUE(facts), ENDED(facts)) == (None, None)


# --- what kubeadm is told


def test_a_worker_has_nothing_of_kubeadms() -> None:
    made = cluster()
    assert renewal.not_ended(made, made.hosts["client"]) == renewal.renewed(made, made.hosts["client"]) == []


def test_how_long_they_are_good_hosts_yml_says_or_else_the_cluster() -> None:
    asked = inventory(
        HOSTS.replace("1.37.2\n", "1.37.2\n  kubeadm: {ClusterConfiguration: {certificateValidityPeriod: 48h}}\n")
    )
    kept = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\ncertificateValidityPeriod: 24h\n"

    def period(wanted: Any, stored: str, life: timedelta = timedelta()) -> Any:
        documents = list(yaml.safe_load_all(certificate_documents(wanted, wanted.founder, stored, [], life)))
        assert len({one["apiVersion"] for one in documents}) == 1
        return documents[1].get("certificateValidityPeriod")

    assert period(inventory(), kept) == "24h"
    assert period(asked, kept) == period(asked, "") == "48h"
    assert period(inventory(), "") is None
    long = timedelta(days=3650, minutes=5)
    assert period(inventory(), "", long) == "87600h"
    assert (period(inventory(), kept, long), period(asked, "", long)) == ("24h", "48h")
    assert period(inventory(HOSTS.replace("1.37.2", "1.30.0")), "", long) is None
