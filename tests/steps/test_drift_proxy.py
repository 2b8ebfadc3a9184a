"""kube-proxy's configuration is what hosts.yml says, its pods are begun with it, and an edit of it is seen."""

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
import yaml

from kubefab.errors import Silent
from kubefab.facts import Facts, Manifest, Workload
from kubefab.inventory import Inventory
from kubefab.step import MISSING, Step, sha256
from kubefab.steps import drift_proxy
from kubefab.steps.health import KUBE_PROXY
from tests.fakes import FakeHost, cluster, step, three_masters
from tests.steps.test_drift import by_hand
from tests.steps.test_drift_nodes import LIVE, NOTHING, PROXY, document, master, node, saying

NFTABLES = saying("KubeProxyConfiguration", mode="nftables")
SET, BEGUN = "kube-proxy's configuration is what hosts.yml says", "every kube-proxy is begun with its configuration"
LEFT, NOTED = (
    "kube-proxy's configuration is as kubefab has left it",
    "kubefab has noted what kube-proxy's configuration is",
)
BACK = "kube-proxy's configuration is taken back"
EDITED = document(PROXY, clusterCIDR="10.9.0.0/16")  # by hand


def changing(facts: Facts) -> Facts:
    workloads = {KUBE_PROXY: Workload(annotations={drift_proxy.MARK: "changing"})}
    return replace(facts, cluster=replace(LIVE, workloads=workloads))


def left(now: Manifest | None = None, was: Manifest | None = None) -> Facts:
    """As kubefab has left it; `now`: what somebody has made of it since."""
    was = was or document(PROXY)
    return master(proxies=now or was, proxies_left=was)


def steps_of_proxy(facts: Facts, wanted: Inventory) -> tuple[FakeHost, list[Step]]:
    made = cluster(wanted)
    made._alone[facts.name] = facts
    host = made.hosts[facts.name]
    assert isinstance(host, FakeHost)
    return host, [*drift_proxy.proxy(made, host), *drift_proxy.put_back_proxy(made, host)]


def proxy_closed(facts: Facts, wanted: Inventory, title: str) -> list[str]:
    host, steps = steps_of_proxy(facts, wanted)
    close = step(steps, title).close
    assert close
    close(host)
    return host.world.ran


def patch_of(line: str) -> Any:
    return json.loads(line.partition("--patch ")[2].rpartition(" --namespace")[0])


def test_what_kubeadm_keeps_of_kube_proxy_and_nobody_could_read_is_not_known() -> None:
    speaker = master(configuration=None, proxies=None)
    for gap, facts in (
        (drift_proxy.unlike_proxy(NFTABLES), speaker),
        (drift_proxy.older_proxy(NFTABLES), changing(speaker)),
        (drift_proxy.edited_proxy(NFTABLES), speaker),
    ):
        with pytest.raises(Silent, match="cannot be read"):
            gap(facts)


def test_kube_proxys_configuration_is_what_hosts_yml_says_and_its_pods_begin_anew_with_it() -> None:
    assert drift_proxy.unlike_proxy(NFTABLES)(left()) == "mode is iptables, not nftables"
    first, second = proxy_closed(left(), NFTABLES, SET)
    assert first.split(" ")[1:4] == ["annotate", "daemonset", "kube-proxy"]
    assert second.split(" ")[1:4] == ["patch", "configmap", "kube-proxy"]
    text = patch_of(second)["data"]["config.conf"]
    assert yaml.safe_load(text) == {**PROXY, "mode": "nftables"}
    assert patch_of(second)["metadata"]["annotations"] == {drift_proxy.LEFT: text}  # at once with it


def test_pods_of_kube_proxy_that_were_begun_with_another_configuration_are_older() -> None:
    assert drift_proxy.older_proxy(NFTABLES)(changing(left())) == "its pods have an older one"
    assert drift_proxy.older_proxy(NFTABLES)(left()) is None
    text = left().kubeadm.proxies
    assert text
    (line,) = proxy_closed(changing(left()), NFTABLES, BEGUN)
    assert patch_of(line)["spec"]["template"]["metadata"] == {"annotations": {drift_proxy.MARK: sha256(text.text)}}


def test_what_kubeadm_has_made_of_kube_proxys_configuration_is_noted_from_the_start_and_no_pod_begins_by_it() -> None:
    """Else nobody would see an edit before kubefab has changed it once."""
    gap = step(steps_of_proxy(master(), NOTHING)[1], NOTED).gap
    assert gap(master()) == MISSING
    assert gap(left()) is None
    assert gap(left(EDITED)) is None
    assert gap(by_hand(master())) is None
    (line,) = proxy_closed(master(), NOTHING, NOTED)
    assert line.split(" ")[1:4] == ["patch", "configmap", "kube-proxy"]
    assert patch_of(line) == {"metadata": {"annotations": {drift_proxy.LEFT: document(PROXY).text}}}


def test_an_edit_of_kube_proxys_configuration_is_told_and_begins_no_pod_and_what_hosts_yml_says_waits() -> None:
    told = "changed by hand: with clusterCIDR=10.9.0.0/16"
    assert drift_proxy.edited_proxy(NOTHING)(left(EDITED)) == told
    waits = "; so hosts.yml waits: mode is iptables, not nftables"
    assert drift_proxy.edited_proxy(NFTABLES)(left(EDITED)) == told + waits
    assert drift_proxy.unlike_proxy(NFTABLES)(left(EDITED)) is None
    assert drift_proxy.older_proxy(NFTABLES)(changing(left(EDITED))) is None
    for other in (left(), master(), master(proxies=EDITED)):  # nothing is noted of it there
        assert drift_proxy.edited_proxy(NOTHING)(other) is None
    found = step(steps_of_proxy(left(EDITED), NOTHING)[1], LEFT)
    assert (found.only_told, found.close) == (True, None)
    assert found.hint == "write it into hosts.yml, or: inv cluster.put-back --host manager"


def test_an_edit_that_cannot_be_read_is_told_and_taken_back() -> None:
    torn = Manifest.read(b64encode(b"mode: [").decode())
    told = drift_proxy.edited_proxy(NFTABLES)(left(torn))
    assert told
    assert told.startswith("changed by hand: it cannot be read: ")
    assert drift_proxy.unlike_proxy(NFTABLES)(left(torn)) is None
    assert yaml.safe_load(patch_of(proxy_closed(left(torn), NOTHING, BACK)[-1])["data"]["config.conf"]) == PROXY


def test_an_edit_that_only_says_the_same_otherwise_is_none() -> None:
    same = Manifest.read(b64encode(b"# mine\n" + yaml.safe_dump(PROXY).encode()).decode())
    assert drift_proxy.edited_proxy(NOTHING)(left(same)) is None
    assert drift_proxy.unlike_proxy(NOTHING)(left(same)) is None


def test_an_edit_that_hosts_yml_says_by_now_is_kubefabs_and_its_pods_begin_with_it() -> None:
    edited = left(document(PROXY, mode="nftables"))
    assert drift_proxy.edited_proxy(NFTABLES)(edited) is None
    said = "what somebody has changed by hand, hosts.yml says by now"
    assert drift_proxy.unlike_proxy(NFTABLES)(edited) == said
    assert "changing" in proxy_closed(edited, NFTABLES, SET)[0]


def test_hosts_ymls_word_stands_over_an_edit_of_what_it_names() -> None:
    edited = left(document(PROXY, mode="ipvs"), document(PROXY, mode="nftables"))
    assert drift_proxy.edited_proxy(NFTABLES)(edited) is None
    assert drift_proxy.unlike_proxy(NFTABLES)(edited) == "mode is ipvs, not nftables"


def test_what_goes_by_a_put_back_of_kube_proxy_is_told_and_hosts_yml_comes_with_it() -> None:
    gap = step(steps_of_proxy(left(EDITED), NFTABLES)[1], BACK).gap
    told = "kube-proxy: with clusterCIDR=10.9.0.0/16, mode is iptables, not nftables"
    assert gap(left(EDITED)) == told
    assert gap(left()) is None
    assert gap(master(proxies=EDITED)) is None  # nobody knows of what was before
    first, second = proxy_closed(left(EDITED), NFTABLES, BACK)
    assert "changing" in first
    assert yaml.safe_load(patch_of(second)["data"]["config.conf"]) == {**PROXY, "mode": "nftables"}


def test_a_put_back_that_was_cut_off_before_anything_was_taken_back_begins_no_pod() -> None:
    cut = changing(left(EDITED))
    assert drift_proxy.older_proxy(NOTHING)(cut) is None
    assert drift_proxy.edited_proxy(NOTHING)(cut) is not None
    assert drift_proxy.older_proxy(NOTHING)(changing(left())) is not None  # and once it was, its pods begin


def test_what_hosts_yml_says_of_kube_proxy_in_a_cluster_made_by_hand_is_told() -> None:
    foreign = drift_proxy.foreign_proxy(NFTABLES)
    assert foreign(by_hand(master())) == "mode is iptables, not nftables; kubefab has not made it"
    assert foreign(master()) is None
    assert drift_proxy.foreign_proxy(saying())(by_hand(master())) is None
    told = step(steps_of_proxy(master(), NFTABLES)[1], "kube-proxy's configuration is kubefab's")
    assert (told.only_told, told.close) == (True, None)
    assert "inv cluster.put-back --host manager" in told.hint


def test_kube_proxy_is_left_alone_in_a_cluster_made_by_hand_and_where_it_is_as_it_should_be() -> None:
    assert drift_proxy.unlike_proxy(NFTABLES)(by_hand(master())) is None
    assert drift_proxy.unlike_proxy(NFTABLES)(master(proxies=document(PROXY, mode="nftables"))) is None
    assert drift_proxy.unlike_proxy(saying())(master()) is None


def test_one_master_speaks_for_kube_proxy_and_any_takes_its_configuration_back() -> None:
    """Whoever is told to may be another than who speaks by then."""
    made = cluster(three_masters())
    assert [name for name, host in made.hosts.items() if drift_proxy.proxy(made, host)] == ["m1"]
    for subject in (drift_proxy.put_back_proxy, drift_proxy.begun_proxy):
        assert [name for name, host in made.hosts.items() if subject(made, host)] == ["m1", "m2", "m3"]


def test_no_worker_changes_the_configuration_of_kube_proxy() -> None:
    assert steps_of_proxy(node(), NFTABLES)[1] == []
