"""What stops an upgrade before anything is changed, and what one that was broken off needs first."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from kubefab.errors import Silent
from kubefab.facts import Configuration, Facts, Manifest, Node, Package, Process
from kubefab.facts.manifests import settings
from kubefab.steps import marked, upgrade_checks
from tests.facts import known, with_
from tests.fakes import HOSTS, cluster, looked, step
from tests.steps.test_upgrade import REGISTRY, WANTED, beside, debs, host, images, live, master


def possible(facts: Facts, wanted: str = WANTED) -> dict[str, str]:
    """The complaints of the founder."""
    made = cluster(HOSTS.replace(WANTED, wanted))
    return {one.title: told for one in upgrade_checks.possible(made, made.founder) if (told := one.gap(facts))}


@pytest.mark.parametrize(
    ("now", "wanted", "told"),
    [
        ("1.37.1", "1.37.2", None),
        ("1.36.3", "1.37.2", None),
        ("1.35.4", "1.37.2", "from 1.35.4 to 1.37.2; next is a version of 1.36"),
    ],
)
def test_the_control_plane_goes_one_minor_at_a_time(now: str, wanted: str, told: str | None) -> None:
    assert possible(master(now), wanted).get("no minor is skipped") == told


def test_the_master_that_is_farthest_behind_counts() -> None:
    facts = beside(master("1.37.1"), replace(master("1.35.4"), name="m2"))
    assert "next is a version of 1.36" in possible(facts)["no minor is skipped"]


UNTOLD = f"{REGISTRY}/kube-apiserver@sha256:{64 * 'a'}"
KNOWN = "it is known of which version each API server is"


def untold(configured: str | None, image: str = UNTOLD) -> Facts:
    """A master whose API server's image tells no version; `configured`: kubeadm's, None where nobody could read it."""
    static = {"kube-apiserver.yaml": image} if image else {}
    told = None if configured is None else Configuration("", version=configured)
    return master("1.35.4", static=static, configuration=told)


@pytest.mark.parametrize("image", [UNTOLD, "near:5000/kube-apiserver", ""])
@pytest.mark.parametrize(
    ("configured", "told"), [("1.36.3", None), ("1.35.4", "from 1.35.4 to 1.37.2; next is a version of 1.36")]
)
def test_where_no_image_says_the_version_kubeadms_configuration_counts(
    image: str, configured: str, told: str | None
) -> None:
    found = possible(untold(configured, image))
    assert (found.get("no minor is skipped"), KNOWN in found) == (told, False)


@pytest.mark.parametrize(
    ("image", "told"), [(UNTOLD, f"{UNTOLD} has no tag"), ("", "its manifest names no image")], ids=["no tag", "none"]
)
@pytest.mark.parametrize("configured", ["", None])
def test_an_api_server_of_which_nobody_knows_the_version_is_told(image: str, told: str, configured: str | None) -> None:
    found = possible(untold(configured, image))
    assert found[KNOWN] == f"manager: {told}, and kubeadm-config tells no version"
    assert "no minor is skipped" not in found


def test_a_master_whose_version_nobody_knows_is_told_beside_one_that_tells_it() -> None:
    facts = beside(master("1.36.3", configuration=None), replace(untold(None), name="m2"))
    assert possible(facts)[KNOWN].startswith("m2: ")


@pytest.mark.parametrize(("wanted", "refused"), [("1.31.9", True), ("1.32.0", False)])
def test_a_version_whose_kubeadm_reads_no_file_for_an_upgrade_is_refused(wanted: str, refused: bool) -> None:
    assert ("kubeadm can be told how to upgrade" in possible(known("manager"), wanted)) is refused


@pytest.mark.parametrize(("kubelet", "told"), [("1.34.4", False), ("1.33.1", True)])
def test_a_kubelet_too_old_for_the_new_api_server_is_told(kubelet: str, told: bool) -> None:
    facts = master("1.36.3", debs=debs(kubelet))
    assert ("the kubelet is at most three minors older" in possible(facts)) is told


@pytest.mark.parametrize(
    ("status", "told"),
    [("hi", None), ("un", True), ("rc", True), ("iU", None), ("iF", None)],
    ids=["a package", "a file of somebody's", "removed", "half unpacked", "half configured"],
)
def test_a_kubelet_of_no_package_is_told_before_its_node_loses_its_pods(status: str, told: bool | None) -> None:
    """It would be started anew, and be the old one, or be gone; one that was broken off is brought to its end."""
    facts = master("1.36.3", debs={**debs("1.36.3"), "kubelet": Package(status)})
    found = possible(facts).get("the kubelet is of a Debian package")
    assert found == ("kubelet 1.36.3 runs, and dpkg knows of no kubelet" if told else None)


BESIDE = "no kubelet that stays is more than three minors older"
STAYS = "no old node is left out"


def with_node(name: str, version: str, **said: object) -> Facts:
    """A master, and a node of the cluster that is no host of this run."""
    ours = Node("manager", version="1.36.3", ready=True, address="10.250.0.11", roles=("control-plane",))
    other = replace(Node(name, version=version, address="10.250.0.99"), **said)  # type: ignore[arg-type]
    return replace(master("1.36.3", node=ours), cluster=replace(live(ours, other), ca="aaa"))


def left_out(facts: Facts, hosts: str = HOSTS) -> str | None:
    made = cluster(hosts)
    return step(upgrade_checks.listed(made, made.founder), STAYS).gap(facts)


@pytest.mark.parametrize(("version", "told"), [("1.34.4", None), ("1.33.1", "w9 1.33.1"), ("", None)])
def test_a_node_that_stays_and_is_too_old_for_the_new_api_server_is_told(version: str, told: str | None) -> None:
    assert possible(with_node("w9", version)).get(BESIDE) == told


@pytest.mark.parametrize("now", ["1.37.0", "1.37.2"])
def test_an_old_node_that_stays_stops_nothing_where_the_minor_is_there_already(now: str) -> None:
    assert BESIDE not in possible(with_(with_node("w9", "1.33.1"), static=images(now)))


def test_a_host_of_this_run_is_no_node_that_stays() -> None:
    assert BESIDE not in possible(master("1.30.3"))


ABSENT = HOSTS.replace("10.250.0.11, role: worker", "10.250.0.99, role: worker, absent: true")


@pytest.mark.parametrize(
    ("facts", "hosts", "told"),
    [
        (with_node("w9", "1.36.3"), HOSTS, "w9 1.36.3 is not upgraded: hosts.yml does not have it"),
        (with_node("w9", ""), HOSTS, "w9 is not upgraded, and nobody knows its version: hosts.yml does not have it"),
        (with_node("client", "1.36.3", address=""), ABSENT, "client 1.36.3 is not upgraded: it is absent"),
        (with_node("w9", "1.37.2"), HOSTS, None),
        (with_node("w9", "1.36.3"), ABSENT, "w9 1.36.3 is not upgraded: it is absent"),
        (master("1.36.3"), HOSTS, None),
    ],
    ids=["a stranger", "of no version", "an absent one", "a new one", "an absent one by its address", "none"],
)
def test_who_is_left_out_is_in_the_plan(facts: Facts, hosts: str, told: str | None) -> None:
    assert left_out(facts, hosts) == told


def test_who_is_left_out_is_told_by_one_master_and_stops_nobody() -> None:
    made = cluster()
    assert step(upgrade_checks.listed(made, made.founder), STAYS).only_told
    assert upgrade_checks.listed(made, made.hosts["client"]) == []


READ = "what Secrets are read by outlives the upgrade"
PROVIDER = {marked.ENCRYPTION: "/etc/kubernetes/secrets.yaml"}
GOES = "kube-apiserver has --encryption-provider-config=/etc/kubernetes/secrets.yaml; kubeadm-config has"
PATCHED = HOSTS.replace(
    f"{WANTED}\n", f"{WANTED}\n  kubeadm: {{InitConfiguration: {{patches: {{directory: /etc/mine}}}}}}\n"
)
UNKNOWN = f"{GOES} none, and nobody knows whether the patches that hosts.yml names bring it"


def encrypted(stored: str = "", left: bool = False, given: bool = False, **said: Any) -> Facts:
    """A master whose API server is told how Secrets are written; `stored`: by which file, for kubeadm-config."""
    api_server = Manifest("1", PROVIDER)
    arguments = {"encryption-provider-config": stored} if stored else {}
    told: dict[str, Any] = {
        "now": {"kube-apiserver": api_server},
        "left": {"kube-apiserver": api_server} if left else {},
        "given": (f"kube-apiserver {marked.ENCRYPTION}",) if given else (),
        "configuration": Configuration("", version="1.36.3", arguments=arguments),
    }
    return with_(master("1.36.3"), **{**told, **said})


@pytest.mark.parametrize(
    ("facts", "hosts", "told"),
    [
        (encrypted(), HOSTS, f"{GOES} none"),
        (encrypted(stored="/etc/kubernetes/secrets.yaml"), HOSTS, None),
        (encrypted(stored="/etc/kubernetes/former.yaml"), HOSTS, f"{GOES} /etc/kubernetes/former.yaml"),
        (encrypted(now={"kube-apiserver": Manifest("1", {"--profiling": "false"})}), HOSTS, None),
        (encrypted(left=True), HOSTS, f"{GOES} none"),
        (encrypted(left=True), PATCHED, None),
        (encrypted(left=True, given=True), PATCHED, UNKNOWN),
        (encrypted(), PATCHED, UNKNOWN),
        (encrypted(static=images("1.37.2"), configuration=Configuration("", version="1.37.2")), HOSTS, None),
        (
            encrypted(
                now={"kube-apiserver": Manifest("1", broken="no YAML")},
                running=(Process("kube-apiserver", tuple("=".join(one) for one in PROVIDER.items())),),
            ),
            HOSTS,
            f"{GOES} none",
        ),
    ],
    ids=[
        "by hand",
        "kubeadm keeps it",
        "kubeadm keeps another",
        "none",
        "noted, and no patches",
        "noted, by patches",
        "noted, once by hosts.yml",
        "patches, not noted",
        "new already",
        "a manifest that cannot be read",
    ],
)
def test_an_api_servers_way_to_read_secrets_is_not_taken_from_it(facts: Facts, hosts: str, told: str | None) -> None:
    made = cluster(hosts)
    states = {one.title: one.gap(facts) for one in upgrade_checks.possible(made, made.founder)}
    assert states[READ] == told


def test_a_worker_is_not_asked_how_secrets_are_read() -> None:
    made = cluster()
    assert READ not in [one.title for one in upgrade_checks.possible(made, made.hosts["client"])]


def test_where_nobody_could_read_what_kubeadm_keeps_it_is_not_known_whether_it_names_the_way_to_read_secrets() -> None:
    with pytest.raises(Silent):
        possible(encrypted(configuration=None))


ROOM = "there is room for kubeadm's copy of etcd"


@pytest.mark.parametrize(
    ("room", "copies", "told"),
    [
        (200, 0, None),
        (199, 0, "199 MiB are free; allowed: 200 MiB, twice of what etcd has"),
        (100, 100, None),
        (99, 100, "199 MiB are free without kubeadm's earlier copies; allowed: 200 MiB, twice of what etcd has"),
    ],
    ids=["enough", "too little", "enough without an earlier copy", "too little without it"],
)
def test_kubeadms_copy_of_etcd_needs_room(room: int, copies: int, told: str | None) -> None:
    assert possible(master(etcd_mib=100, room_mib=room, copies_mib=copies)).get(ROOM) == told


def test_where_only_the_kubelet_is_old_no_room_is_needed() -> None:
    """kubeadm copies etcd with the control plane; that copy takes the room until the kubelet is new, too."""
    assert possible(master("1.37.2", etcd_mib=100, room_mib=1)) == {}
    assert possible(master("1.37.2", debs=debs("1.37.1"), etcd_mib=100, room_mib=1)) == {}


def test_for_an_etcd_that_is_elsewhere_no_room_is_needed_though_a_former_ones_folder_is_there() -> None:
    assert possible(master(etcd_mib=100, room_mib=1, servers="https://10.0.0.9:2379")) == {}


def test_room_is_needed_until_what_kubeadm_keeps_is_new() -> None:
    assert ROOM in possible(master("1.37.2", configured="1.37.1", etcd_mib=100, room_mib=1))


OLD_FLAG = "{name: experimental-corrupt-check-time, value: 1h}"
GONE = "nothing is told a flag that is gone"


@pytest.mark.parametrize(
    ("now", "wanted", "stored", "told"),
    [
        (
            "1.36.3",
            "1.37.2",
            f"etcd: {{local: {{extraArgs: [{{name: quota-backend-bytes, value: '1'}}, {OLD_FLAG}]}}}}",
            "etcd --experimental-corrupt-check-time, in kubeadm-config's etcd.local.extraArgs",
        ),
        (
            "1.36.3",
            "1.37.2",
            "controllerManager: {extraArgs: [{name: concurrent-service-syncs, value: '1'}]}",
            "kube-controller-manager --concurrent-service-syncs, in kubeadm-config's controllerManager.extraArgs",
        ),
        (
            "1.32.9",
            "1.33.9",
            "apiServer: {extraArgs: {cloud-provider: external}}",
            "kube-apiserver --cloud-provider, in kubeadm-config's apiServer.extraArgs",
        ),
        ("1.35.4", "1.36.3", f"etcd: {{local: {{extraArgs: [{OLD_FLAG}]}}}}", None),
        (
            "1.36.3",
            "1.37.2",
            "scheduler: {extraArgs: {cloud-provider: x}}\napiServer: {extraArgs: {profiling: 'no'}}",
            None,
        ),
        ("1.37.2", "1.37.2", f"etcd: {{local: {{extraArgs: [{OLD_FLAG}]}}}}", None),
        ("1.36.3", "1.37.2", "etcd: {external: {endpoints: [https://etcd.example:2379]}}", None),
    ],
)
def test_a_flag_that_the_new_version_does_not_know_is_told_by_where_it_is_kept(
    now: str, wanted: str, stored: str, told: str | None
) -> None:
    facts = with_(master(now), configuration=Configuration(stored, version=now))
    assert possible(facts, wanted).get(GONE) == told


@pytest.mark.parametrize(("tag", "told"), [("3.6.8-0", False), ("3.7.0-0", True)])
def test_a_flag_of_an_etcd_that_stays_what_it_is_is_not_gone(tag: str, told: bool) -> None:
    """By a tag that kubeadm keeps."""
    stored = f"etcd: {{local: {{extraArgs: [{OLD_FLAG}]}}}}"
    kept = Configuration(stored, version="1.36.3", pinned={"etcd.local.imageTag": tag})
    assert (GONE in possible(with_(master("1.36.3"), configuration=kept))) is told


@pytest.mark.parametrize(
    ("now", "told"),
    [("1.36.3", "kubelet --storage_driver-db, in /etc/default/kubelet"), ("1.37.2", None)],
)
def test_a_flag_that_the_new_kubelet_does_not_know_is_told_on_its_host(now: str, told: str | None) -> None:
    """With _ for -, too, as Kubernetes' programs take it."""
    said = ("node-ip /var/lib/kubelet/kubeadm-flags.env", "storage_driver-db /etc/default/kubelet")
    made, facts = cluster(HOSTS), beside(with_(host("client", now), kubelet_flags=said), master(now))
    states = {one.title: one.gap(facts) for one in upgrade_checks.possible(made, made.hosts["client"])}
    assert states[GONE] == told


GATES = "nothing is told a feature gate that the new version does not take"
KUBEADM = "kubeadm-config's"


def gated(stored: str = "", kubelets: str = "", proxies: str = "", version: str = "1.36.3", **said: Any) -> Facts:
    """A master by whose word kubeadm keeps these settings."""
    kept = {"kubelets": kubelets, "proxies": proxies}
    manifests = {name: Manifest("1", settings(yaml.safe_load(text))) for name, text in kept.items() if text}
    return with_(master(version), **{"configuration": Configuration(stored, version=version), **manifests, **said})


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (
            gated(
                "apiServer: {extraArgs: [{name: feature-gates, value: 'HPAScaleToZero=true,SidecarContainers=true'}]}"
            ),
            f"kube-apiserver's SidecarContainers is gone, in {KUBEADM} apiServer.extraArgs",
        ),
        (
            gated("controllerManager: {extraArgs: {feature-gates: 'kube:GangScheduling=true, JobSuccessPolicy=true'}}"),
            f"kube-controller-manager's GangScheduling is gone, in {KUBEADM} controllerManager.extraArgs; "
            f"kube-controller-manager's JobSuccessPolicy is gone, in {KUBEADM} controllerManager.extraArgs",
        ),
        (
            gated(
                "scheduler: {extraArgs: [{name: feature_gates, value: A=true}, "
                "{name: feature-gates, value: SchedulerQueueingHints=false}]}"
            ),
            f"kube-scheduler's SchedulerQueueingHints is gone, in {KUBEADM} scheduler.extraArgs",
        ),
        (
            gated(kubelets="featureGates: {PodLifecycleSleepAction: true, HostnameOverride: false}"),
            "kubelet's PodLifecycleSleepAction is gone, in the ConfigMap kubelet-config; "
            "kubelet's HostnameOverride can only be true, in the ConfigMap kubelet-config",
        ),
        (
            gated(proxies="featureGates: {StructuredAuthenticationConfiguration: true}"),
            "kube-proxy's StructuredAuthenticationConfiguration is gone, in the ConfigMap kube-proxy",
        ),
        (gated("apiServer: {extraArgs: {feature-gates: ''}}", "featureGates: {HostnameOverride: true}"), None),
        (gated("apiServer: {extraArgs: {feature-gates: SidecarContainers=true}}", version="1.37.2"), None),
        (gated(kubelets="serializeImagePulls: false"), None),
        (gated(configuration=None), None),
    ],
    ids=[
        "a list",
        "a map",
        "spelled twice",
        "of kubelets",
        "of kube-proxies",
        "known ones",
        "new",
        "none",
        "not heard",
    ],
)
def test_a_feature_gate_that_the_new_version_does_not_take_is_told_by_where_it_is_kept(
    facts: Facts, told: str | None
) -> None:
    assert possible(facts).get(GATES) == told


def test_a_feature_gate_is_told_until_the_last_host_is_new() -> None:
    kept = gated(kubelets="featureGates: {SidecarContainers: true}", version="1.37.2")
    assert GATES in possible(beside(kept, host("client", "1.36.3")))
    assert GATES not in possible(beside(kept, host("client", "1.37.2")))


OF_A_PATCH = {
    "kube-apiserver": Manifest("1", {"--feature-gates": "RetryGenerateName=true,SidecarContainers=true"}),
    "kubelet": Manifest("1", {"featureGates.SidecarContainers": "True"}),
}


@pytest.mark.parametrize(
    ("hosts", "told"),
    [
        (
            PATCHED,
            "kubelet's SidecarContainers is gone, in /var/lib/kubelet/config.yaml, or in a patch; "
            "kube-apiserver's RetryGenerateName is gone, "
            "in /etc/kubernetes/manifests/kube-apiserver.yaml, or in a patch; "
            f"kube-apiserver's SidecarContainers is gone, in {KUBEADM} apiServer.extraArgs",
        ),
        (HOSTS, f"kube-apiserver's SidecarContainers is gone, in {KUBEADM} apiServer.extraArgs"),
    ],
    ids=["patches", "no patches, and so it goes"],
)
def test_a_feature_gate_that_a_patch_may_bring_again_is_told_by_where_it_has_come_to(hosts: str, told: str) -> None:
    facts = gated("apiServer: {extraArgs: {feature-gates: SidecarContainers=true}}", now=OF_A_PATCH)
    made = cluster(hosts)
    states = {one.title: one.gap(facts) for one in upgrade_checks.possible(made, made.founder)}
    assert states[GATES] == told


def test_a_feature_gate_that_kubeadm_keeps_is_not_told_again_by_a_worker_that_patches_are_for() -> None:
    kept = gated(kubelets="featureGates: {SidecarContainers: true}")
    worker = beside(host("client", "1.36.3", now=OF_A_PATCH), kept)
    made = cluster(PATCHED)
    told = step(upgrade_checks.possible(made, made.hosts["client"]), GATES).gap(worker)
    assert told
    assert "kubelet's" not in told


UNSEEN = "it is known which feature gates kubelets are told by flags"


@pytest.mark.parametrize(
    ("flag", "version", "told"),
    [
        ("feature-gates", "1.36.3", "client: nobody has looked at --feature-gates in /etc/default/kubelet"),
        ("feature-gates", "1.37.2", None),
        ("node-ip", "1.36.3", None),
    ],
)
def test_feature_gates_of_a_kubelets_own_flags_are_told_not_to_be_known(
    flag: str, version: str, told: str | None
) -> None:
    made = cluster()
    facts = beside(master("1.36.3"), host("client", version, kubelet_flags=(f"{flag} /etc/default/kubelet",)))
    unseen = step(upgrade_checks.listed(made, made.founder), UNSEEN)
    assert (unseen.gap(facts), unseen.only_told) == (told, True)


# --- what an upgrade that was broken off needs first


def taken_up(name: str, facts: Facts) -> dict[str, str]:
    made = cluster()
    return {one.title: told for one in upgrade_checks.taken_up(made, made.hosts[name]) if (told := one.gap(facts))}


def test_a_manifest_that_was_moved_away_is_put_back_before_anybody_is_asked() -> None:
    facts = master(torn=("etcd.yaml",), cluster=replace(live(), silent="refused"))
    assert taken_up("manager", facts) == {
        "no manifest is left away by an upgrade": "etcd.yaml",
        "the API server answers": "the API server gives no answer: refused",
    }
    made = looked({"manager": {"upgrade": "torn etcd.yaml"}})
    made.look(made.founder, ("upgrade",))
    close = upgrade_checks.taken_up(made, made.founder)[0].close
    assert close
    close(made.founder)
    assert vars(made.founder)["world"].ran == ["put-manifests.sh etcd.yaml"]


def test_a_master_that_is_well_needs_nothing_first() -> None:
    assert taken_up("manager", master()) == {}
    assert taken_up("client", host("client")) == {}


def test_a_host_that_has_not_joined_is_told_before_it_stops_the_others() -> None:
    assert (
        possible(replace(known("manager"), cluster=live()))["the host is a node of the cluster"] == "it has not joined"
    )


def test_a_master_that_hosts_yml_does_not_know_is_told() -> None:
    """Its API server would stay old, and kubelets get newer than it."""
    ours = Node("manager", version="1.37.1", ready=True, address="10.250.0.11", roles=("control-plane",))
    facts = master(node=ours)
    beyond = replace(live(ours, replace(ours, name="m9", address="10.250.0.99")), ca="aaa")
    assert possible(facts) == {}
    assert possible(replace(facts, cluster=beyond)) == {"hosts.yml knows every master of the cluster": "m9"}
