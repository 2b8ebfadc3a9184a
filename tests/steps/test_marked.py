"""What hosts.yml wants of what kubeadm makes, and what of that is kubefab's, and what is somebody's."""

import pytest

from kubefab.errors import HostError, Silent
from kubefab.facts import Configuration
from kubefab.inventory import Inventory
from kubefab.step import sha256
from kubefab.steps import marked
from tests.facts import with_
from tests.fakes import cluster, three_masters
from tests.steps.test_drift import API, GRACE, MANAGER, NOTHING, OIDC, SCHEDULER, by_hand, manifest, master, patched


def test_what_kubeadm_keeps_no_more_is_not_remembered_for_it() -> None:
    """By another master's word it is gone already: who writes it there by hand later would lose it."""
    given, was = (f"{API} --audit-log-maxage",), (f"{API} --audit-log-maxage",)
    facts = master(manifest(audit_log_maxage="30"))
    assert marked.lines(NOTHING, with_(facts, given=given, stored=was), API) == []
    with pytest.raises(Silent):
        marked.lines(NOTHING, with_(facts, given=given, configuration=None), API)


def test_what_a_patch_has_made_does_not_wait_where_something_else_was_changed_by_hand() -> None:
    left, now = manifest(audit_log_maxage="99"), manifest(audit_log_maxage="99", oidc_issuer_url="https://x")
    facts = master(now, left, said=(f"{API} --audit-log-maxage {sha256('10')}",))
    assert marked.left_alone(patched(GRACE), API)(facts) == "changed by hand: with --oidc-issuer-url=https://x"


def test_a_configuration_that_is_none_of_kubeadms_is_told_with_the_command_that_shows_it() -> None:
    with pytest.raises(HostError, match="cannot be understood") as raised:
        marked.target(GRACE, with_(master(), configuration=Configuration("apiServer: 7")))
    assert "kubeadm-config" in raised.value.hint


def test_anonymous_requests_come_back_by_no_run_since_hosts_yml_does_not_take_their_flag_any_more() -> None:
    facts = master(manifest(anonymous_auth="false"), given=("--anonymous-auth",))
    assert marked.gone(NOTHING, facts, "kube-apiserver") == []


def test_which_patches_a_master_was_made_with_is_not_guessed() -> None:
    def of(inventory: Inventory, name: str, **folders: str) -> str:
        kinds = {f"{kind}Configuration": {"patches": {"directory": folder}} for kind, folder in folders.items()}
        wanted = inventory.model_copy(update={"cluster": inventory.cluster.model_copy(update={"kubeadm": kinds})})
        return marked.patches(wanted, cluster(wanted).hosts[name])

    assert of(NOTHING, "manager") == ""
    assert (of(NOTHING, "manager", Init="/a"), of(NOTHING, "client", Init="/a", Join="/b")) == ("/a", "/b")
    assert of(three_masters(), "m2", Init="/a", Join="/a") == "/a"
    with pytest.raises(HostError, match="nobody knows with which patches") as raised:
        of(three_masters(), "m2", Init="/a")
    assert "name one folder" in raised.value.hint


def test_what_hosts_yml_says_and_does_not_come_to_a_manifest_changed_by_hand_is_told() -> None:
    facts = master(OIDC, left=manifest())
    told = marked.left_alone(GRACE, API)(facts)
    assert told == f"{marked.by_hand(GRACE, API)(facts)}; so hosts.yml waits: without --audit-log-maxage=10"
    assert marked.left_alone(NOTHING, API)(facts) == marked.by_hand(NOTHING, API)(facts)
    other = master(manifest(audit_log_maxage="40"), left=manifest(audit_log_maxage="10"))
    assert marked.left_alone(GRACE, API)(other) == marked.by_hand(GRACE, API)(other)  # it is told already
    assert marked.left_alone(GRACE, API)(by_hand(facts)) == marked.by_hand(GRACE, API)(by_hand(facts))
    assert marked.left_alone(GRACE, API)(master()) is None


def test_a_manifest_that_was_taken_away_is_told() -> None:
    facts = with_(master(), now={pod: manifest(pod) for pod in (MANAGER, SCHEDULER)})
    assert marked.by_hand(GRACE, API)(facts) == "changed by hand: its manifest is missing"
    assert marked.by_hand(GRACE, API)(by_hand(facts)) is None
    assert marked.by_hand(GRACE, API)(with_(facts, admin_ca="")) is None


def test_what_a_restore_has_put_aside_was_taken_away_by_nobody() -> None:
    facts = with_(master(), now={pod: manifest(pod) for pod in (MANAGER, SCHEDULER)}, restore_begun=1.0)
    assert marked.by_hand(GRACE, API)(facts) is None
    assert marked.left_alone(GRACE, API)(facts) is None


def test_without_kubefabs_copy_nobody_knows_what_was_changed() -> None:
    facts = with_(master(OIDC, left=manifest()), left={})
    assert "kubefab's copy is gone" in (marked.by_hand(NOTHING, API)(facts) or "")
