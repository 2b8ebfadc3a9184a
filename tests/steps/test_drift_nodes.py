"""Kubelets are what hosts.yml says."""

from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
import yaml

from kubefab import kubeadm
from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Facts, Manifest, Node, Unit, Workload
from kubefab.inventory import Inventory
from kubefab.step import Step, sha256
from kubefab.steps import drift_nodes, marked
from kubefab.steps.health import KUBE_PROXY
from tests.facts import known, with_
from tests.fakes import HOSTS, FakeHost, cluster, inventory, step, three_masters
from tests.steps.test_drift import by_hand, manifest, patched, stored

KUBELET = marked.KUBELET
STORED = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "maxPods": 110}
PROXY = {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "iptables"}
NODES = {name: Node(name) for name in ("manager", "client")}
LIVE = ClusterFacts("manager", ca="aaa", nodes=NODES, workloads={KUBE_PROXY: Workload()})
MAKE, KEEP = (
    "the kubelet's configuration is what hosts.yml says",
    ("the kubelets' configuration that kubeadm keeps is what hosts.yml says"),
)


def saying(kind: str = "KubeletConfiguration", **fields: Any) -> Inventory:
    document = yaml.safe_load(HOSTS)
    document["cluster"]["kubeadm"] = {kind: fields}
    return inventory(yaml.safe_dump(document))


def document(base: dict[str, Any] = STORED, **fields: Any) -> Manifest:
    return Manifest.read(b64encode(yaml.safe_dump({**base, **fields}).encode()).decode())


def node(name: str = "client", now: Manifest | None = None, given: tuple[str, ...] = (), **said: Any) -> Facts:
    """A node whose kubelet's configuration is this, as kubefab has left it."""
    now = now or document()
    found: dict[str, Any] = {
        "kubelet_ca": "aaa",
        "now": {KUBELET: now},
        "left": {KUBELET: now},
        "marks": (f"{KUBELET} {now.digest}",),
        "given": tuple(f"{KUBELET} {one}" for one in given),
        "units": {"kubelet": Unit("active", "enabled", since=100)},
        "kubelet_written": 50.0,
    }
    return known(name, LIVE, **{**found, **said})


def worker(now: Manifest | None = None, **said: Any) -> Facts:
    """The same, in a cluster whose master is kubefab's."""
    return replace(node(now=now, **said), others={"manager": master()})


def master(now: Manifest | None = None, kept: Manifest | None = None, **said: Any) -> Facts:
    pods = {pod: manifest(pod) for pod in marked.PHASES}
    facts = node("manager", now, admin_ca="aaa", kubelets=kept or document(), configuration=stored())
    marks = (*facts.manifests.marks, *(f"{pod} {one.digest}" for pod, one in pods.items()))
    return with_(facts, **{"now": {**facts.manifests.now, **pods}, "marks": marks, "proxies": document(PROXY), **said})


WANTED, NOTHING = saying(maxPods=200), saying()
UNKEPT = "what kubeadm keeps is in the cluster"


FLAGS = "the kubelet was made with the flags of hosts.yml"


def flagged(kind: str = "Join", wanted: Inventory | None = None, **flags: Any) -> Inventory:
    """hosts.yml with these flags of kubelets, besides what `wanted` says."""
    said = {f"{kind}Configuration": {"nodeRegistration": {"kubeletExtraArgs": flags}}}
    found = wanted or NOTHING
    return found.model_copy(
        update={"cluster": found.cluster.model_copy(update={"kubeadm": {**found.cluster.kubeadm, **said}})}
    )


def flags_of(facts: Facts, wanted: Inventory) -> Step:
    return step(at(facts, wanted)[1], FLAGS)


# --- what is seen


def test_a_flag_that_a_node_was_made_without_is_told_and_changes_nothing() -> None:
    told = flags_of(worker(), flagged(v="4"))
    assert (told.only_told, told.close) == (True, None)
    assert told.gap(worker()) == "without --v=4"
    assert told.gap(worker(kubelet_words=("--node-ip=10.250.0.11", "--v=2"))) == "--v is 2, not 4"
    assert told.gap(worker(kubelet_words=("--node-ip=10.250.0.11", "--v=4"))) is None
    assert "client: edit /var/lib/kubelet/kubeadm-flags.env" in told.hint


def test_a_flag_that_hosts_yml_does_not_name_is_nobodys_drift() -> None:
    assert flags_of(worker(), NOTHING).gap(worker(kubelet_words=("--v=2",))) is None


def test_a_secret_among_a_kubelets_flags_is_not_shown() -> None:
    wanted = flagged("Join", None, **{"some-token": "hush-hush"})
    assert flags_of(worker(), wanted).gap(worker()) == "without --some-token=(hidden)"


def test_each_flag_is_compared_with_the_document_that_the_node_was_made_by() -> None:
    made = flagged("Init", v="4")
    assert flags_of(worker(), made).gap(worker()) is None
    assert flags_of(master(), made).gap(master()) == "without --v=4"


def test_of_several_masters_one_may_have_been_made_by_either_document() -> None:
    both = flagged("Join", flagged("Init", three_masters(), v="4"), v="5")
    for flags, told in (("--v=4",), None), (("--v=5",), None), (("--v=6",), "--v is 6, not 4"):
        gap = drift_nodes.unlike_flags(kubeadm.kubelet_flags(both, both.masters[0]))
        assert gap(master(kubelet_words=flags)) == told


def test_of_no_node_and_of_half_of_one_no_flag_is_told() -> None:
    for facts in (known("client", LIVE), worker(join_begun=1.0)):
        assert flags_of(worker(), flagged(v="4")).gap(facts) is None


def test_what_hosts_yml_says_of_kubelets_is_compared_with_what_kubeadm_keeps_and_with_each_nodes_own() -> None:
    assert drift_nodes.unlike_kept(WANTED)(master()) == "maxPods is 110, not 200"
    assert drift_nodes.unlike_own(WANTED)(worker()) == "maxPods is 110, not 200"
    kept = document(maxPods=200)
    assert drift_nodes.unlike_kept(WANTED)(master(kept=kept)) is None
    assert drift_nodes.unlike_own(WANTED)(worker(kept)) is None


def test_what_hosts_yml_never_named_of_kubelets_is_nobodys_drift() -> None:
    assert drift_nodes.unlike_own(NOTHING)(worker(document(maxPods=7))) is None
    assert drift_nodes.unlike_kept(NOTHING)(master(kept=document(maxPods=7))) is None


def test_what_hosts_yml_gave_kubelets_once_and_names_no_more_goes() -> None:
    assert drift_nodes.unlike_own(NOTHING)(worker(given=("maxPods",))) == "with maxPods=110"
    assert drift_nodes.unlike_kept(NOTHING)(master(given=(f"{KUBELET} maxPods",))) == "with maxPods=110"


def test_what_kubelets_did_not_bear_goes_out_of_what_kubeadm_keeps_once_hosts_yml_says_it_no_more() -> None:
    facts = master(kept=document(maxPods=-5), stored=(f"{KUBELET} maxPods",))
    assert drift_nodes.unlike_kept(NOTHING)(facts) == "with maxPods=-5"
    *_, kept = yaml.safe_load_all(closed(facts, NOTHING, KEEP).world.payloads["upload-configuration.sh"])
    assert "maxPods" not in kept


def test_what_kubeadm_has_taken_and_leaves_out_is_no_drift() -> None:
    """What is empty is not written where it is the default: it would be brought again and again."""
    wanted = saying(protectKernelDefaults=False)
    assert drift_nodes.unlike_kept(wanted)(master()) == "without protectKernelDefaults=False"
    assert drift_nodes.unlike_kept(wanted)(master(stored=(f"{KUBELET} protectKernelDefaults",))) is not None
    assert drift_nodes.unlike_kept(wanted)(master(taken=(f"{KUBELET} protectKernelDefaults",))) is None
    assert drift_nodes.unlike_kept(wanted)(master(given=(f"{KUBELET} protectKernelDefaults",))) is None
    elsewhere = replace(master(), others={"m2": master(taken=(f"{KUBELET} protectKernelDefaults",))})
    assert drift_nodes.unlike_kept(wanted)(elsewhere) is None


def test_a_node_leaves_out_what_kubeadm_keeps_for_all_leaves_out_and_nothing_else() -> None:
    """A join takes what is kept by then, whatever hosts.yml says by now."""
    wanted = saying(failSwapOn=False)
    assert drift_nodes.unlike_own(wanted)(worker(given=("failSwapOn",))) is None
    brought = replace(node(given=("failSwapOn",)), others={"manager": master(kept=document(failSwapOn=False))})
    assert drift_nodes.unlike_own(wanted)(brought) == "without failSwapOn=False"


def test_what_kubeadm_always_sets_itself_is_nobodys_drift() -> None:
    kept = document(rotateCertificates=True)
    assert drift_nodes.unlike_kept(saying(rotateCertificates=False))(master(kept=kept)) is None


def test_what_kubeadm_keeps_and_nobody_could_read_is_not_known() -> None:
    unread = {"configuration": None, "kubelets": None, "proxies": None}
    speaker = master(**unread)
    for gap, facts in (
        (drift_nodes.unlike_kept(WANTED), speaker),
        (
            drift_nodes.kept_elsewhere(WANTED),
            at_version(replace(node(), others={"manager": speaker}), "1.23.17"),
        ),
        (drift_nodes.kept_nowhere(WANTED), replace(node(), others={"manager": speaker})),
        (drift_nodes.unlike_own(WANTED), replace(node(), others={"manager": speaker})),
        (drift_nodes.other(WANTED), replace(by_hand(node()), others={"manager": speaker})),
    ):
        with pytest.raises(Silent, match="cannot be read"):
            gap(facts)
    assert drift_nodes.unlike_kept(WANTED)(with_(speaker, configuration_missing=True)) is None


def test_one_length_of_time_is_the_same_however_it_is_written() -> None:
    now = document(nodeStatusUpdateFrequency="1m0s")
    assert drift_nodes.unlike_own(saying(nodeStatusUpdateFrequency="60s"))(worker(now)) is None


def test_a_quantity_is_no_length_of_time() -> None:
    wanted = saying(systemReserved={"cpu": "100m"})
    now = document(systemReserved={"cpu": "200m"})
    assert drift_nodes.unlike_own(wanted)(worker(now)) == "systemReserved.cpu is 200m, not 100m"
    unmarked = with_(node(now=document(systemReserved={"cpu": "100m"})), left={}, marks=())
    assert marked.by_hand(wanted, KUBELET)(unmarked) is None


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ({"memoryThrottlingFactor": 1.0}, {"memoryThrottlingFactor": 1}),
        (
            {"reservedMemory": [{"numaNode": 0, "limits": {"memory": "1024Mi"}}]},
            {"reservedMemory": [{"numaNode": 0, "limits": {"memory": "1Gi"}}]},
        ),
        (
            {"logging": {"options": {"json": {"infoBufferSize": "1024Ki"}}}},
            {"logging": {"options": {"json": {"infoBufferSize": "1Mi"}}}},
        ),
    ],
    ids=["a number", "memory", "a buffer"],
)
def test_what_kubeadm_keeps_in_a_form_of_its_own_is_no_drift(said: dict[str, Any], stored: dict[str, Any]) -> None:
    """Brought again, it would be another text again: the state would never be reached."""
    wanted, kept = saying(**said), document(**stored)
    assert drift_nodes.unlike_kept(wanted)(master(kept=kept)) is None
    assert drift_nodes.unlike_own(wanted)(replace(node(now=kept), others={"manager": master(kept=kept)})) is None


def test_a_time_that_was_changed_by_hand_is_kubefabs_once_hosts_yml_says_it() -> None:
    now = document(nodeStatusUpdateFrequency="1m0s")
    facts = node(now=now, left={KUBELET: document()}, marks=(f"{KUBELET} {document().digest}",))
    assert marked.by_hand(saying(nodeStatusUpdateFrequency="60s"), KUBELET)(facts) is None


def test_a_kubelets_configuration_that_was_changed_by_hand_is_told_and_left_alone() -> None:
    facts = node(now=document(maxPods=50), left={KUBELET: document()}, marks=(f"{KUBELET} {document().digest}",))
    told = marked.by_hand(WANTED, KUBELET)(facts)
    assert told == "changed by hand: maxPods is 50, not 110"
    assert drift_nodes.unlike_own(WANTED)(facts) is None
    assert drift_nodes.older_kubelet(with_(facts, kubelet_written=200.0)) is None


def test_a_kubelets_configuration_that_is_gone_is_told_with_the_way_back() -> None:
    facts = with_(worker(), now={})
    title = "the kubelet's configuration is there"
    hosts = cluster(inventory())
    told = step(drift_nodes.kubelet(hosts, hosts.require("client")), title)
    assert (told.gap(facts), told.only_told) == ("somebody has taken it away", True)
    assert "on client" in told.hint
    assert "cp /var/lib/kubefab-manifests/kubelet.yaml /var/lib/kubelet/config.yaml" in told.hint
    assert told.gap(worker()) is None
    assert told.gap(with_(facts, kubelet_ca="")) is None
    assert told.gap(with_(facts, marks=())) is None


def test_in_a_cluster_made_by_hand_kubelets_are_told_of_once_hosts_yml_names_them() -> None:
    facts = by_hand(master())
    assert marked.by_hand(NOTHING, KUBELET)(facts) is None
    assert marked.by_hand(WANTED, KUBELET)(facts) == "maxPods is 110, not 200; kubefab has not made it"
    for gap in (drift_nodes.unlike_own(WANTED), drift_nodes.unlike_kept(WANTED)):
        assert gap(facts) is None


def test_a_worker_that_kubefab_joined_to_a_cluster_made_by_hand_has_what_that_keeps() -> None:
    facts = replace(node(), others={"manager": by_hand(master())})
    assert drift_nodes.unlike_own(WANTED)(facts) is None
    assert drift_nodes.unlike_own(WANTED)(worker()) == "maxPods is 110, not 200"


def test_a_kubelet_that_waits_for_what_kubeadm_keeps_says_so() -> None:
    """Nobody may bring it there while the master's own is somebody's."""
    facts = replace(node(), others={"manager": by_hand(master())})
    told = "maxPods is 110, not 200; it comes by what kubeadm keeps, and no master's kubelet is as kubefab has left it"
    assert drift_nodes.held_back(WANTED)(facts) == told
    assert drift_nodes.unlike_own(WANTED)(facts) is None
    second = replace(facts, others={**facts.others, "m2": master()})
    assert (drift_nodes.held_back(WANTED)(second), drift_nodes.unlike_own(WANTED)(second)) == (
        None,
        "maxPods is 110, not 200",
    )
    assert drift_nodes.held_back(NOTHING)(facts) is None
    assert drift_nodes.held_back(WANTED)(worker()) is None
    assert drift_nodes.held_back(WANTED)(by_hand(facts)) is None  # it is told of itself
    waits = step(at(node(), WANTED)[1], "the kubelet's configuration does not wait")
    assert (waits.only_told, waits.hint) == (True, "inv cluster.put-back --host manager")


def at_version(facts: Facts, version: str) -> Facts:
    return replace(facts, cluster=replace(LIVE, version=version))


def test_before_kubernetes_1_24_what_hosts_yml_says_of_kubelets_is_told_and_left() -> None:
    """kubeadm keeps it under another name, which nobody here reads."""
    elsewhere = at_version(with_(master(), kubelets=None), "1.23.17")
    for facts in (elsewhere, at_version(replace(node(), others={"manager": elsewhere}), "1.23.17")):
        told = drift_nodes.kept_elsewhere(WANTED)(facts)
        assert told == "maxPods is 110, not 200; it is left as it is, since there is no ConfigMap kubelet-config"
        assert drift_nodes.unlike_own(WANTED)(facts) is None
        assert drift_nodes.held_back(WANTED)(facts) is None
    assert drift_nodes.unlike_kept(WANTED)(elsewhere) is None
    assert drift_nodes.kept_elsewhere(WANTED)(at_version(master(), "1.23.17")) is None
    assert drift_nodes.kept_elsewhere(NOTHING)(elsewhere) is None
    assert drift_nodes.kept_elsewhere(WANTED)(at_version(elsewhere, "1.24.0")) is None
    assert drift_nodes.kept_nowhere(WANTED)(elsewhere) is None
    title = "kubeadm keeps the kubelets' configuration under its name since Kubernetes 1.24"
    assert step(at(node(), WANTED)[1], title).only_told


@pytest.mark.parametrize("version", ["1.37.2", "1.24.0", ""])
def test_what_hosts_yml_says_of_kubelets_is_told_where_somebody_has_deleted_what_kubeadm_keeps(version: str) -> None:
    deleted = at_version(with_(master(), kubelets=None), version)
    for facts in (deleted, at_version(replace(node(), others={"manager": deleted}), version)):
        told = drift_nodes.kept_nowhere(WANTED)(facts)
        assert told == "maxPods is 110, not 200; it waits, since there is no ConfigMap kubelet-config"
        assert drift_nodes.kept_nowhere(NOTHING)(facts) is None
        assert drift_nodes.kept_elsewhere(WANTED)(facts) is None
        assert drift_nodes.held_back(WANTED)(facts) is None
    assert drift_nodes.kept_nowhere(WANTED)(at_version(worker(), version)) is None
    led_by_hand = at_version(replace(node(), others={"manager": by_hand(deleted)}), version)
    assert drift_nodes.kept_nowhere(WANTED)(led_by_hand) is None  # held_back tells it
    waits = step(at(node(), WANTED)[1], "kubeadm keeps a configuration for kubelets")
    assert waits.only_told
    assert waits.hint.startswith("on manager, bring kubelet-config back: grep -v ")
    assert "; then: inv cluster.up" in waits.hint


@pytest.mark.parametrize(
    ("version", "gone", "told"),
    [
        ("1.37.2", {}, None),
        ("1.37.2", {"kubelets": None}, "there is no ConfigMap kubelet-config"),
        ("", {"kubelets": None}, "there is no ConfigMap kubelet-config"),
        ("1.24.0", {"kubelets": None}, "there is no ConfigMap kubelet-config"),
        ("1.37.2", {"proxies": None}, "there is no ConfigMap kube-proxy"),
        ("1.23.17", {"kubelets": None}, None),
        ("1.23.17", {"configuration": None, "configuration_missing": True}, "there is no ConfigMap kubeadm-config"),
        (
            "1.37.2",
            {"configuration": None, "configuration_missing": True, "kubelets": None},
            "there is no ConfigMap kubeadm-config, kubelet-config",
        ),
    ],
)
def test_a_configuration_that_somebody_has_deleted_from_the_cluster_is_told_by_its_speaker(
    version: str, gone: dict[str, Any], told: str | None
) -> None:
    facts = at_version(with_(master(), **gone), version)
    for wanted in (NOTHING, WANTED):
        found = step(at(facts, wanted)[1], UNKEPT)
        assert (found.gap(facts), found.only_told) == (told, True)
    assert UNKEPT not in [one.title for one in at(worker(), NOTHING)[1]]


def test_where_no_kube_proxy_is_there_is_no_configuration_of_it_to_miss() -> None:
    without = replace(LIVE, version="1.37.2", workloads={})
    assert drift_nodes.unkept(replace(with_(master(), proxies=None), cluster=without)) is None


def test_how_a_deleted_configuration_comes_back_is_told() -> None:
    hint = step(at(master(), NOTHING)[1], UNKEPT).hint
    assert "on manager, kubeadm init phase upload-config kubeadm --config FILE" in hint
    assert "-e ^resolvConf: /var/lib/kubelet/config.yaml | kubectl" in hint


def test_what_nobody_could_read_is_not_told_as_deleted() -> None:
    with pytest.raises(Silent, match="cannot be read"):
        drift_nodes.unkept(with_(master(), configuration=None, kubelets=None))
    assert drift_nodes.unkept(known("manager", None)) is None


@pytest.mark.parametrize("facts", [node(kubelet_ca="bbb"), node(join_begun=1.0), with_(node(), now={})])
def test_of_who_is_no_whole_node_nothing_is_told(facts: Facts) -> None:
    assert drift_nodes.unlike_own(WANTED)(facts) is None
    assert marked.by_hand(WANTED, KUBELET)(facts) is None


@pytest.mark.parametrize("name", ["manager", "client"])
def test_a_configuration_whose_making_was_cut_off_is_brought_to_its_end_by_no_api_servers_word(name: str) -> None:
    made = cluster(NOTHING)
    host = made.hosts[name]
    assert isinstance(host, FakeHost)
    (only,) = drift_nodes.taken_up(made, host)
    cut = replace(node(name, halfway=(KUBELET,)), cluster=None)
    assert only.gap(cut) == "its making was cut off"
    assert only.gap(replace(cut, cluster=replace(LIVE, silent="no answer"))) == "its making was cut off"
    assert only.gap(node(name)) is None
    assert only.close
    only.close(host)
    assert host.world.ran == ["remake-kubelet-config.sh 90"]
    assert only.touches == "host"
    assert drift_nodes.kubelet(made, host)[0].title == only.title


def test_a_kubelet_that_began_before_its_configuration_was_written_begins_anew() -> None:
    assert drift_nodes.older_kubelet(node(kubelet_written=200.0)) == "it began before its configuration was written"
    assert drift_nodes.older_kubelet(node()) is None


# --- what is changed


def at(facts: Facts, wanted: Inventory) -> tuple[FakeHost, list[Step]]:
    made = cluster(wanted)
    made._alone[facts.name] = facts
    host = made.hosts[facts.name]
    assert isinstance(host, FakeHost)
    return host, [*drift_nodes.kubelet(made, host), *drift_nodes.put_back(made, host)]


def closed(facts: Facts, wanted: Inventory, title: str) -> FakeHost:
    host, steps = at(facts, wanted)
    close = step(steps, title).close
    assert close
    close(host)
    return host


def test_kubeadm_keeps_what_hosts_yml_says_and_each_node_takes_it_from_there() -> None:
    host = closed(master(), WANTED, KEEP)
    assert host.world.ran == ["upload-configuration.sh kubelet kubelet: kubelet:maxPods"]
    *_, kept = yaml.safe_load_all(host.world.payloads["upload-configuration.sh"])
    assert (kept["kind"], kept["maxPods"]) == ("KubeletConfiguration", 200)
    assert closed(node(), WANTED, MAKE).world.ran == ["remake-kubelet-config.sh 90  given maxPods stored maxPods"]
    (made,) = closed(node(), patched(WANTED), MAKE).world.ran
    assert made == "remake-kubelet-config.sh 90 /etc/mine given maxPods stored maxPods"


BIG = {"left": {KUBELET: document(maxPods=250)}, "said": (f"{KUBELET} maxPods {sha256('200')}",)}


def test_what_a_patch_has_made_of_what_hosts_yml_says_is_no_drift() -> None:
    """A folder that one node has: it would be made anew, the same, at every run."""
    facts = worker(document(maxPods=250), **BIG)
    assert drift_nodes.unlike_own(patched(WANTED))(facts) is None
    assert drift_nodes.held_back(patched(WANTED))(replace(facts, others={"manager": by_hand(master())})) is None
    assert drift_nodes.unlike_own(WANTED)(facts) == "maxPods is 250, not 200"  # the folder is in hosts.yml no more
    assert drift_nodes.unlike_own(patched(saying(maxPods=220)))(facts) == "maxPods is 250, not 220"
    assert drift_nodes.unlike_own(patched(WANTED))(with_(facts, said=())) == "maxPods is 250, not 200"


def test_what_kubeadm_keeps_otherwise_was_not_made_of_what_hosts_yml_says() -> None:
    """It is put back before what is kept follows: by a patch that is another then, nobody would see that it waits."""
    for value, words in ((200, f" said maxPods {sha256('200')}"), (110, "")):
        made = cluster(patched(WANTED))
        made._alone["manager"] = master(kept=document(maxPods=value))
        host = made.hosts["client"]
        assert isinstance(host, FakeHost)
        close = step(drift_nodes.kubelet(made, host), MAKE).close
        assert close
        close(host)
        assert host.world.ran == [f"remake-kubelet-config.sh 90 /etc/mine given maxPods{words} stored maxPods"]


def test_only_masters_change_what_kubeadm_keeps() -> None:
    _, steps = at(node(), WANTED)
    assert not [one for one in steps if one.title == KEEP]


def test_what_goes_by_a_put_back_of_a_kubelet_is_told() -> None:
    changed = {"left": {KUBELET: document()}, "marks": (f"{KUBELET} {document().digest}",)}
    facts = worker(document(maxPods=50), **changed)
    title = "the kubelet's configuration is as kubeadm makes it"
    assert step(at(facts, NOTHING)[1], title).gap(facts) == "kubelet: maxPods is 50, not 110"
    assert closed(facts, NOTHING, title).world.ran == ["remake-kubelet-config.sh 90 "]
    assert drift_nodes.other(NOTHING)(node()) is None
    assert drift_nodes.other(WANTED)(by_hand(master())) == "kubelet: maxPods is 110, not 200"
    assert drift_nodes.other(NOTHING)(by_hand(master())) == "kubelet: the same, but not marked as kubefab's"


def test_what_goes_by_a_put_back_of_a_kubelet_that_kubefab_has_not_made_is_all_of_it() -> None:
    """What comes is what kubeadm keeps; what its runtime is, each node says in a file of its own."""
    now = document(maxPods=77, evictionHard={"memory.available": "5%"}, containerRuntimeEndpoint="unix:///run/x")
    kept = document(containerRuntimeEndpoint="")
    facts = by_hand(replace(node(now=now), others={"manager": master(kept=kept)}))
    assert drift_nodes.other(NOTHING)(facts) == "kubelet: maxPods is 77, not 110, with evictionHard.memory.available=5%"


def test_what_was_so_as_kubefab_left_it_is_nobodys_loss() -> None:
    left, now = document(maxPods=200, containerLogMaxFiles=9), document(maxPods=50, containerLogMaxFiles=9)
    facts = worker(now, left={KUBELET: left}, marks=(f"{KUBELET} {left.digest}",))
    assert drift_nodes.other(NOTHING)(facts) == "kubelet: maxPods is 50, not 110"
