"""The control plane is what hosts.yml says: what is seen, what is changed, and what is left as somebody made it."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from kubefab import kubeadm, render
from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Configuration, Facts, Manifest, Process
from kubefab.inventory import Inventory
from kubefab.inventory.models import Proxy
from kubefab.step import sha256
from kubefab.steps import drift, marked
from tests.facts import known, with_
from tests.fakes import FakeHost, cluster, step, three_masters
from tests.test_kubeadm import saying

API, MANAGER, SCHEDULER = marked.PHASES
LIVE = ClusterFacts("manager", ca="aaa")
BASE = {"advertise-address": "10.250.0.10", "secure-port": "6443", "profiling": "false"}
STORED = {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration", "kubernetesVersion": "v1.37.2"}


ENC = {"encryption_provider_config": "/a"}


def manifest(pod: str = API, **flags: str) -> Manifest:
    """A static pod's, with kubeadm's own flags and these."""
    told = {**(BASE if pod == API else {}), **{name.replace("_", "-"): value for name, value in flags.items()}}
    command = [pod, *(f"--{name}={value}" for name, value in told.items())]
    text = yaml.safe_dump({"spec": {"containers": [{"name": pod, "command": command}]}})
    return Manifest.read(b64encode(text.encode()).decode())


def with_variables(*env: Mapping[str, Any]) -> Manifest:
    """An API server's, with these besides."""
    pods = yaml.safe_load(manifest().text)
    pods["spec"]["containers"][0]["env"] = list(env)
    return Manifest.read(b64encode(yaml.safe_dump(pods).encode()).decode())


def running(pod: str, one: Manifest) -> Process:
    flags = {name: value for name, value in one.settings.items() if name.startswith("--")}
    return Process(pod, (pod, *(f"{name}={value}" for name, value in flags.items())))


def stored(**sections: Any) -> Configuration:
    text = yaml.safe_dump({**STORED, **sections})
    return Configuration.read(b64encode(text.encode()).decode())


def master(
    now: Manifest | None = None,
    left: Manifest | None = None,
    given: Mapping[str, str] | tuple[str, ...] = (),
    **said: Any,
) -> Facts:
    """A master whose API server's manifest is this; `left`: what it was as kubefab left it."""
    now = now or manifest()
    left = left or now
    others = {pod: manifest(pod) for pod in (MANAGER, SCHEDULER)}
    marks = {API: left, **others}
    found: dict[str, Any] = {
        "admin_ca": "aaa",
        "readyz": "ok",
        "now": {API: now, **others},
        "left": marks,
        "marks": tuple(f"{pod} {one.digest}" for pod, one in marks.items()),
        "given": tuple(f"{API} {one}" for one in given),
        "running": tuple(running(pod, one) for pod, one in {API: now, **others}.items()),
        "configuration": stored(),
    }
    return known("manager", LIVE, **{**found, **said})


def by_hand(facts: Facts) -> Facts:
    """A cluster that somebody has made with kubeadm: kubefab has marked nothing."""
    return with_(facts, left={}, marks=(), given=())


def patched(wanted: Inventory, *kinds: str) -> Inventory:
    """And kubeadm is to patch what it makes; `kinds`: by which documents, Init and Join for none."""
    said = {f"{kind}Configuration": {"patches": {"directory": "/etc/mine"}} for kind in kinds or ("Init", "Join")}
    cluster = wanted.cluster.model_copy(update={"kubeadm": {**wanted.cluster.kubeadm, **said}})
    return wanted.model_copy(update={"cluster": cluster})


GRACE = saying(apiServer={"extraArgs": {"audit-log-maxage": 10}})
NOTHING = saying()


# --- what is seen


def test_a_flag_of_hosts_yml_that_the_manifest_has_otherwise_is_told_in_words() -> None:
    assert drift.unlike(GRACE, API)(master(manifest(audit_log_maxage="30"))) == "--audit-log-maxage is 30, not 10"
    assert drift.unlike(GRACE, API)(master()) == "without --audit-log-maxage=10"
    assert drift.unlike(GRACE, API)(master(manifest(audit_log_maxage="10"))) is None
    assert drift.unlike(GRACE, SCHEDULER)(master()) is None


def test_a_secret_among_the_flags_is_not_shown() -> None:
    wanted = saying(apiServer={"extraArgs": {"etcd-prefix-token": "hush-hush"}})
    assert drift.unlike(wanted, API)(master()) == "without --etcd-prefix-token=(hidden)"


def test_of_a_flag_that_stands_twice_the_last_counts_before_v1beta4() -> None:
    """It was a map there: what kubeadm is given is what the manifest is to have."""
    listed = [{"name": "v", "value": "2"}, {"name": "v", "value": "4"}]
    for version, value in (("1.30.4", "4"), ("1.37.2", "2, 4")):
        wanted = saying(apiServer={"extraArgs": listed}, etcd={"local": {"extraArgs": listed}})
        wanted = wanted.model_copy(update={"cluster": wanted.cluster.model_copy(update={"kubernetes": version})})
        assert kubeadm.wanted_settings(wanted, API) == {"--v": value}
        assert drift.unlike(wanted, API)(master()) == f"without --v={value}"
        assert drift.lasting(wanted)(master()) == f"without etcd: --v={value}"


# --- the proxy, which kubeadm hands on into what it writes

OWN = "http://10.0.0.1:3128"


def proxied(wanted: Inventory = NOTHING, **says: Any) -> Inventory:
    """hosts.yml with a proxy besides."""
    return wanted.model_copy(update={"proxy": Proxy.model_validate({"http": OWN, **says})})


def handed(pod: str = API, **other: str) -> Manifest:
    """A manifest as kubeadm writes it by way of the proxy; `other`: variables that are there in place of these."""
    environment = {**render.environment(proxied()), **other}
    env = [{"name": name, "value": value} for name, value in environment.items() if value]
    pods = yaml.safe_load(manifest(pod).text)
    pods["spec"]["containers"][0]["env"] = env
    return Manifest.read(b64encode(yaml.safe_dump(pods).encode()).decode())


@pytest.mark.parametrize("pod", marked.PHASES)
def test_a_proxy_that_a_manifest_has_otherwise_than_hosts_yml_is_told_in_words(pod: str) -> None:
    def seen(wanted: Inventory, now: Manifest) -> str | None:
        facts = master()
        there = {**facts.manifests.now, pod: now}
        marks = tuple(f"{name} {one.digest}" for name, one in there.items())
        return drift.unlike(wanted, pod)(with_(facts, now=there, left=there, marks=marks))

    assert seen(proxied(), handed(pod)) is None
    moved = "HTTP_PROXY is http://10.0.0.9:1, not http://10.0.0.1:3128"
    assert seen(proxied(), handed(pod, HTTP_PROXY="http://10.0.0.9:1")) == moved
    assert seen(proxied(), handed(pod, HTTPS_PROXY="")) == "without HTTPS_PROXY=http://10.0.0.1:3128"
    short = render.environment(proxied())["NO_PROXY"].replace(",10.250.0.11", "")
    assert seen(proxied(), handed(pod, NO_PROXY=short)) == "NO_PROXY lacks 10.250.0.11"
    assert seen(proxied(no_proxy=[".a.org", ".b.org"]), handed(pod)) == "NO_PROXY lacks .a.org, .b.org"
    assert (seen(proxied(), manifest(pod)) or "").startswith("without HTTP_PROXY=http://10.0.0.1:3128; without HTTPS_")


def test_what_is_reached_without_the_proxy_besides_is_no_drift() -> None:
    more = ".more.org," + render.environment(proxied())["NO_PROXY"]
    assert drift.unlike(proxied(), API)(master(handed(NO_PROXY=more))) is None


@pytest.mark.parametrize("value", ["http://me:hush@10.0.0.9:1", "me:hush@10.0.0.9:1", "http://me:h@ush@10.0.0.9:1"])
def test_a_login_of_a_proxy_is_not_shown(value: str) -> None:
    told = drift.unlike(proxied(), API)(master(handed(HTTP_PROXY=value)))
    assert told == "HTTP_PROXY is (hidden), not http://10.0.0.1:3128"


def test_a_proxy_of_the_environment_that_hosts_yml_names_no_more_is_told_once() -> None:
    facts = master(handed(**{name: "" for name in drift.VARIABLES if name != "HTTP_PROXY"}))
    given = with_(facts, given=(f"{API} env[HTTP_PROXY].value",))
    assert drift.unlike(NOTHING, API)(given) == "with env[HTTP_PROXY].value=(hidden)"


def test_a_proxy_that_hosts_yml_names_no_more_goes_from_what_kubefab_has_rendered() -> None:
    told = drift.unlike(NOTHING, API)(master(handed()))
    assert told
    assert [one.partition("=")[0] for one in told.split("; ")] == [
        f"with {name}" for name in render.environment(proxied())
    ]


def test_a_proxy_in_a_manifest_that_is_not_kubefabs_stays() -> None:
    for facts in (by_hand(master(handed())), master(handed(), manifest())):
        for wanted in (NOTHING, proxied(), proxied(no_proxy=[".more.org"])):
            assert drift.unlike(wanted, API)(facts) is None


def test_a_proxy_of_the_environment_that_kubeadm_keeps_stays() -> None:
    """It comes before the one that kubeadm would hand on: what it wrote would be the same at every run."""
    env = [{"name": name, "value": "http://theirs:1"} for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")]
    theirs = handed(**{one["name"]: one["value"] for one in env})
    keeps = stored(apiServer={"extraEnvs": env})
    for wanted in (NOTHING, proxied()):
        assert drift.unlike(wanted, API)(with_(master(theirs), configuration=keeps)) is None
        assert drift.unlike(saying(apiServer={"extraEnvs": env}), API)(master(theirs)) is None


def test_what_a_patch_has_made_of_the_proxy_is_no_drift() -> None:
    wanted = patched(proxied())
    assert drift.unlike(patched(NOTHING), API)(master(handed())) is None
    theirs = handed(NO_PROXY="*")
    assert drift.unlike(wanted, API)(master(theirs))
    told = tuple(f"{API} {one.removeprefix('said ')}" for one in marked.lines(wanted, master(theirs), API))
    assert drift.unlike(wanted, API)(master(theirs, said=told)) is None
    assert drift.unlike(patched(proxied(no_proxy=[".more.org"])), API)(master(theirs, said=told)) is not None


def test_where_nobody_knows_with_which_patches_a_master_was_made_no_proxy_is_drift() -> None:
    """Its manifest cannot be made anew: the run would end there for what nobody has asked for."""
    wanted = proxied(patched(three_masters(), "Init"))
    assert drift.unlike(wanted, API)(master(handed(NO_PROXY="*"))) is None


def test_what_kubeadm_keeps_and_nobody_could_read_may_be_what_gives_the_proxy() -> None:
    with pytest.raises(Silent):
        drift.unlike(NOTHING, API)(with_(master(handed()), configuration=None))


# --- what hosts.yml has said


def test_what_hosts_yml_gave_once_and_names_no_more_goes() -> None:
    facts = master(manifest(audit_log_maxage="30"), given=("--audit-log-maxage",))
    assert drift.unlike(NOTHING, API)(facts) == "with --audit-log-maxage=30"
    args = [{"name": "audit-log-maxage", "value": "30"}]
    keeps = with_(facts, configuration=stored(apiServer={"extraArgs": args}))
    assert marked.lines(NOTHING, keeps, API) == ["stored --audit-log-maxage"]


def test_what_a_patch_has_made_of_what_hosts_yml_says_is_no_drift() -> None:
    """It would be made anew, the same, at every run."""
    (line,) = [one for one in marked.lines(patched(GRACE), master(), API) if one.startswith("said ")]
    assert line == f"said --audit-log-maxage {sha256('10')}"
    facts = master(manifest(audit_log_maxage="99"), said=(f"{API} {line.removeprefix('said ')}",))
    assert drift.unlike(patched(GRACE), API)(facts) is None
    assert drift.unlike(GRACE, API)(facts) == "--audit-log-maxage is 99, not 10"
    another = patched(saying(apiServer={"extraArgs": {"audit-log-maxage": 11}}))
    assert drift.unlike(another, API)(facts) == "--audit-log-maxage is 99, not 11"
    changed = with_(facts, left={API: manifest(audit_log_maxage="98")})
    assert drift.unlike(patched(GRACE), API)(changed) == "--audit-log-maxage is 99, not 10"


def test_what_hosts_yml_never_named_is_nobodys_drift() -> None:
    assert drift.unlike(NOTHING, API)(master(manifest(audit_log_maxage="30"))) is None


def test_what_somebody_has_stored_and_comes_with_a_change_is_told_too() -> None:
    facts = master(configuration=stored(apiServer={"extraArgs": [{"name": "oidc-issuer-url", "value": "https://x"}]}))
    assert drift.unlike(NOTHING, API)(facts) is None
    told = "without --audit-log-maxage=10; without --oidc-issuer-url=https://x"
    assert drift.unlike(GRACE, API)(facts) == told


@pytest.mark.parametrize(
    "facts",
    [
        master(admin_ca=""),
        master(master_begun=1.0),
        master(halfway=(API,)),
        with_(master(), now={}),
        replace(master(), cluster=None),
    ],
)
def test_of_no_control_plane_and_of_half_of_one_nothing_is_told(facts: Facts) -> None:
    assert drift.unlike(GRACE, API)(facts) is None
    assert marked.by_hand(GRACE, API)(facts) is None or facts.cluster is None or not facts.manifests.now


def test_a_silent_api_server_and_a_configuration_that_nobody_tells_are_no_answer() -> None:
    for facts in (replace(master(), cluster=replace(LIVE, silent="no answer")), with_(master(), configuration=None)):
        with pytest.raises(Silent):
            drift.unlike(GRACE, API)(facts)


def test_what_kubeadm_keeps_and_nobody_could_read_is_not_known() -> None:
    facts = master(manifest(audit_log_maxage="10"), configuration=None)
    with pytest.raises(Silent, match="cannot be read"):
        drift.unlike_stored(GRACE)(facts)
    assert drift.unlike_stored(GRACE)(with_(facts, configuration_missing=True)) is None


def test_what_secrets_are_read_by_goes_by_no_run_that_did_not_ask() -> None:
    """An API server is well without it, and can read none of the Secrets that were written with it."""
    flag = "--encryption-provider-config"
    facts = master(manifest(encryption_provider_config="/etc/x.yaml"), given=(flag,))
    made = cluster(NOTHING)
    (complains,) = drift.readable(made, made.hosts["manager"])
    assert complains.close is None
    assert complains.gap(facts) == f"hosts.yml names {flag} no more"
    assert "inv cluster.put-back --host manager" in complains.hint
    kept = saying(apiServer={"extraArgs": {"encryption-provider-config": "/etc/y.yaml"}})
    (other,) = drift.readable(cluster(kept), made.hosts["manager"])
    assert other.gap(facts) is None
    assert complains.gap(master(manifest(encryption_provider_config="/etc/x.yaml"))) is None  # it is somebody's own
    assert complains.gap(master(given=(flag,))) is None
    assert drift.readable(made, made.hosts["client"]) == []


# --- what somebody has changed by hand

OIDC = manifest(oidc_issuer_url="https://id.example", oidc_client_secret="hush-hush")


def test_what_was_changed_by_hand_is_shown_and_left_alone() -> None:
    facts = master(OIDC, left=manifest())
    told = "changed by hand: with --oidc-issuer-url=https://id.example, with --oidc-client-secret=(hidden)"
    assert marked.by_hand(GRACE, API)(facts) == told
    assert drift.unlike(GRACE, API)(facts) is None
    assert drift.unlike_stored(GRACE)(facts) is None


def test_what_was_changed_by_hand_is_left_alone_where_hosts_yml_says_otherwise() -> None:
    facts = master(manifest(audit_log_maxage="40"), left=manifest(audit_log_maxage="10"))
    assert marked.by_hand(GRACE, API)(facts) == "changed by hand: --audit-log-maxage is 40, not 10"
    assert drift.unlike(GRACE, API)(facts) is None


def test_what_was_changed_by_hand_is_kubefabs_once_hosts_yml_says_it() -> None:
    wanted = saying(
        apiServer={"extraArgs": {"oidc-issuer-url": "https://id.example", "oidc-client-secret": "hush-hush"}}
    )
    facts = master(OIDC, left=manifest())
    assert marked.by_hand(wanted, API)(facts) is None
    assert drift.unlike(wanted, API)(facts) == "what somebody has changed by hand, hosts.yml says by now"


@pytest.mark.parametrize("pod", [API, "etcd"])
def test_where_a_manifest_is_gone_the_way_back_is_told_and_it_is_not_put_back(pod: str) -> None:
    """put-back refuses that: whoever has taken it away may have it elsewhere."""
    left = {one: manifest(one) for one in (API, MANAGER, SCHEDULER, "etcd") if one != pod}
    marks = (*(f"{one} {told.digest}" for one, told in left.items()), f"{pod} 0")
    facts = with_(master(), now=left, marks=marks)
    _, steps = at(facts, GRACE)
    told = step(steps, f"{pod}'s manifest is there")
    assert (told.gap(facts), told.only_told, told.close) == ("somebody has taken it away", True, None)
    assert f"/var/lib/kubefab-manifests/{pod}.yaml" in told.hint
    assert "put-back" not in told.hint
    assert step(steps, f"{pod} is as kubefab has left it").gap(facts) is None


def test_what_somebody_has_changed_of_etcd_is_told_with_the_way_back() -> None:
    left, now = manifest("etcd", quota_backend_bytes="1"), manifest("etcd", quota_backend_bytes="2")
    facts = master()
    before = facts.manifests
    facts = with_(
        facts,
        now={**before.now, "etcd": now},
        left={**before.left, "etcd": left},
        marks=(*before.marks, f"etcd {left.digest}"),
    )
    told = step(at(facts, GRACE)[1], "etcd is as kubefab has left it")
    assert (told.gap(facts), told.only_told) == ("changed by hand: --quota-backend-bytes is 2, not 1", True)
    assert "/var/lib/kubefab-manifests/etcd.yaml" in told.hint
    assert "hosts.yml" not in told.hint


def test_a_comment_in_a_manifest_is_no_change_of_it() -> None:
    facts = master(replace(manifest(), digest="another"), left=manifest())
    assert marked.by_hand(NOTHING, API)(facts) is None
    assert drift.unlike(NOTHING, API)(facts) is None


def test_a_manifest_that_is_no_yaml_any_more_is_told() -> None:
    broken = Manifest.read(b64encode(b"a: [").decode())
    assert (marked.by_hand(NOTHING, API)(master(broken, left=manifest())) or "").startswith("it cannot be read")
    assert drift.unlike(GRACE, API)(master(broken, left=manifest())) is None


# --- a cluster made by hand


def test_in_a_cluster_made_by_hand_nothing_is_drift_until_hosts_yml_names_it() -> None:
    facts = by_hand(master(OIDC))
    assert marked.by_hand(NOTHING, API)(facts) is None
    assert drift.unlike(NOTHING, API)(facts) is None
    assert drift.unlike_stored(NOTHING)(facts) is None


def test_what_hosts_yml_names_of_a_cluster_made_by_hand_is_told_and_left_alone() -> None:
    facts = by_hand(master(OIDC))
    assert marked.by_hand(GRACE, API)(facts) == "without --audit-log-maxage=10; kubefab has not made it"
    assert drift.unlike(GRACE, API)(facts) is None


# --- what runs


def process(pod: str = API, **flags: str) -> Process:
    told = {**(BASE if pod == API else {}), **{name.replace("_", "-"): value for name, value in flags.items()}}
    return Process(pod, (pod, *(f"--{name}={value}" for name, value in told.items())))


OLD = process(profiling="true", gone="1")
LATE = {API: drift.TAKEN_UP}


def test_a_process_that_was_told_otherwise_than_its_manifest_says_is_older() -> None:
    facts = master(running=(OLD,), written_ago=LATE)
    assert drift.other_process(API)(facts) == "what runs is older: --profiling is true, not false; with --gone=1"
    assert drift.other_process(API)(master(written_ago=LATE)) is None


def test_what_runs_beside_one_that_still_ends_is_by_the_manifest() -> None:
    """Pids may have come round: which of them is the last says nothing."""
    for running in ((OLD, process()), (process(), OLD)):
        assert drift.other_process(API)(master(running=running, written_ago=LATE)) is None


def test_what_does_not_run_is_not_older() -> None:
    """It may have lost its lease, and wait to be begun again: a kubelet that restarts is no help."""
    assert drift.other_process(API)(master(running=(), written_ago=LATE)) is None


def test_a_kubelet_has_its_time_to_take_a_manifest_up() -> None:
    steps = at(master(), GRACE)[1]
    waits, acts = step(steps, f"the kubelet has taken up {API}'s manifest"), step(steps, f"{API} runs by its manifest")
    assert (waits.close, waits.within > drift.TAKEN_UP) == (None, True)
    assert steps.index(waits) < steps.index(acts)
    for age in (0.0, drift.TAKEN_UP - 1):
        facts = master(running=(OLD,), written_ago={API: age})
        assert (waits.gap(facts) or "").startswith("what runs is older")
        assert acts.gap(facts) is None
    for age in (drift.TAKEN_UP, -3600.0):  # a clock that was set back says nothing
        facts = master(running=(OLD,), written_ago={API: age})
        assert waits.gap(facts) is None
        assert acts.gap(facts)


def test_what_a_patch_has_put_beside_it_is_none_of_its_flags() -> None:
    """A container beside the API server, and a hook of its own."""
    hook = {"preStop": {"exec": {"command": ["/bin/wait", "--for=9"]}}}
    beside = {"name": "kms", "command": ["/kms", "--listen=/run/kms.sock"]}
    command = [API, *(f"--{name}={value}" for name, value in BASE.items())]
    containers = [
        {"name": API, "command": command, "lifecycle": hook, "env": [{"name": "GOGC", "value": "50"}]},
        beside,
    ]
    text = yaml.safe_dump({"metadata": {"name": API}, "spec": {"containers": containers}})
    facts = master(Manifest.read(b64encode(text.encode()).decode()), running=(process(),), written_ago=LATE)
    assert drift.other_process(API)(facts) is None
    assert drift.unlike(saying(apiServer={"extraEnvs": [{"name": "GOGC", "value": "50"}]}), API)(facts) is None
    assert drift.unlike(GRACE, API)(facts) == "without --audit-log-maxage=10"


def test_what_runs_by_somebody_elses_manifest_is_his() -> None:
    for facts in (
        master(OIDC, left=manifest(), running=(OLD,), written_ago=LATE),
        by_hand(master(running=(OLD,), written_ago=LATE)),
    ):
        assert drift.other_process(API)(facts) is None


def test_what_stands_in_a_manifest_for_a_variable_may_be_anything_in_the_process() -> None:
    facts = master(manifest(profiling="$(PROFILING)"), running=(process(),), written_ago=LATE)
    assert drift.other_process(API)(facts) is None


def test_two_dollars_of_a_manifest_are_one_in_the_process() -> None:
    """The kubelet takes the first for a mark: what runs would be called older at every run."""
    facts = master(manifest(cors="//a$$"), running=(process(cors="//a$"),), written_ago=LATE)
    assert drift.other_process(API)(facts) is None


# --- what kubeadm keeps


def test_what_kubeadm_keeps_is_brought_up_once_the_static_pods_here_are_right() -> None:
    facts = master(manifest(audit_log_maxage="10"))
    assert drift.unlike_stored(GRACE)(facts) == "without apiServer: --audit-log-maxage=10"
    assert drift.unlike_stored(GRACE)(master()) is None  # they are first to show that they bear it


def test_a_name_for_the_certificate_is_kept_in_small_letters_and_is_the_same() -> None:
    """kubeadm writes it so: another difference would be there after every run."""
    wanted = saying(apiServer={"certSANs": ["API.Example.org", "FD00::1", "api.example.org"]})
    facts = master(configuration=stored(apiServer={"certSANs": ["localhost", "api.example.org", "fd00::1"]}))
    assert drift.unlike_stored(wanted)(facts) is None
    assert drift.unlike_stored(wanted)(master()) == "without apiServer: certSANs=api.example.org, fd00::1"


def test_what_kubeadm_writes_besides_into_what_hosts_yml_names_is_no_difference() -> None:
    """A default of the API's, which hosts.yml need not name: it would be there again after every run."""
    source = {"fieldRef": {"fieldPath": "status.hostIP"}}
    env = {"name": "HERE", "valueFrom": source}
    kept = {"name": "HERE", "valueFrom": {"fieldRef": {"apiVersion": "v1", **source["fieldRef"]}}}
    facts = master(with_variables(env), configuration=stored(apiServer={"extraEnvs": [kept]}))
    assert drift.unlike_stored(saying(apiServer={"extraEnvs": [env]}))(facts) is None
    once = with_(facts, stored=(f"{API} env[HERE].valueFrom.fieldRef.fieldPath",))
    told = "with apiServer: env[HERE].valueFrom.fieldRef.fieldPath=(hidden)"
    assert drift.unlike_stored(NOTHING)(once) == told


def test_what_somebody_has_changed_of_what_kubeadm_keeps_is_put_right() -> None:
    args = [{"name": "audit-log-maxage", "value": "99"}, {"name": "v", "value": "2"}]
    facts = master(manifest(audit_log_maxage="10"), configuration=stored(apiServer={"extraArgs": args}))
    assert drift.unlike_stored(GRACE)(facts) == "apiServer: --audit-log-maxage is 99, not 10"


def test_what_hosts_yml_names_no_more_goes_out_of_what_kubeadm_keeps_and_nothing_of_others() -> None:
    args = [{"name": "audit-log-maxage", "value": "10"}, {"name": "v", "value": "2"}]
    facts = master(configuration=stored(apiServer={"extraArgs": args}), stored=(f"{API} --audit-log-maxage",))
    assert drift.unlike_stored(NOTHING)(facts) == "with apiServer: --audit-log-maxage=10"
    assert drift.unlike_stored(GRACE)(facts) is None  # its manifest comes first


def test_what_nothing_can_change_in_place_is_named_and_fails_nobody() -> None:
    wanted = saying(networking={"dnsDomain": "other.local"}, etcd={"local": {"extraArgs": {"quota-backend-bytes": 9}}})
    kept = stored(networking={"dnsDomain": "cluster.local"})
    told = "networking.dnsDomain is cluster.local, not other.local; without etcd: --quota-backend-bytes=9"
    assert drift.lasting(wanted)(master(configuration=kept)) == told
    assert drift.lasting(NOTHING)(master(configuration=kept)) is None
    assert drift.lasting(saying(dns={"imageTag": None}))(master(configuration=kept)) is None  # nothing is said
    with pytest.raises(Silent, match="cannot be read"):
        drift.lasting(wanted)(master(configuration=None))
    assert drift.lasting(wanted)(master(configuration=None, configuration_missing=True)) is None
    last = at(master(), wanted)[1][-1]
    assert (last.only_told, last.close) == (True, None)
    assert "inv cluster.reset" in last.hint


# --- what is changed


def at(facts: Facts, wanted: Inventory) -> tuple[FakeHost, list[Any]]:
    made = cluster(wanted)
    made._alone["manager"] = facts
    host = made.hosts["manager"]
    assert isinstance(host, FakeHost)
    return host, drift.control_plane(made, host)


def test_kubeadm_makes_the_manifest_of_what_is_stored_and_what_hosts_yml_says() -> None:
    args = [{"name": "v", "value": "2"}]
    host, steps = at(master(configuration=stored(apiServer={"extraArgs": args})), GRACE)
    close = step(steps, f"{API} is what hosts.yml says").close
    assert close
    close(host)
    assert host.world.ran == [f"remake-manifest.sh 120 {API} control-plane apiserver given --audit-log-maxage"]
    init, configuration = yaml.safe_load_all(host.world.payloads["remake-manifest.sh"])
    assert init["localAPIEndpoint"] == {"advertiseAddress": "10.250.0.10", "bindPort": 6443}
    assert configuration["apiServer"]["extraArgs"] == [*args, {"name": "audit-log-maxage", "value": "10"}]


def test_somebodys_patches_are_in_the_manifest_that_is_made_anew() -> None:
    """kubeadm init has made it with them: without them it would lose what kubefab's own mark is of."""
    host, steps = at(master(), patched(GRACE))
    close = step(steps, f"{API} is what hosts.yml says").close
    assert close
    close(host)
    init, _ = yaml.safe_load_all(host.world.payloads["remake-manifest.sh"])
    assert init["patches"] == {"directory": "/etc/mine"}


def test_an_api_server_that_restarts_is_told_before_and_no_other_part_is() -> None:
    _, steps = at(master(), GRACE)
    told = {one.title: one.warning for one in steps if one.warning}
    titles = (f"{API} is what hosts.yml says", f"{API} runs by its manifest")
    assert told == dict.fromkeys(titles, "the API server of manager restarts")


def test_what_is_changed_by_hand_fails_nobody_and_has_two_ways_out() -> None:
    _, steps = at(master(), GRACE)
    left = step(steps, f"{API} is as kubefab has left it")
    assert (left.close, left.only_told) == (None, True)
    assert left.hint == "write it into hosts.yml, or: inv cluster.put-back --host manager"


def test_a_manifest_that_was_cut_off_is_brought_to_its_end_first() -> None:
    host, steps = at(master(halfway=(API, SCHEDULER)), GRACE)
    assert steps[0].gap(master(halfway=(API, SCHEDULER))) == f"{API}, {SCHEDULER}"
    assert steps[0].close
    steps[0].close(host)
    assert host.world.ran == [f"remake-manifest.sh 120 {pod} " for pod in (API, SCHEDULER)]


def test_what_kubeadm_keeps_is_uploaded_by_kubeadm() -> None:
    host, steps = at(master(manifest(audit_log_maxage="10")), GRACE)
    close = step(steps, "kubeadm's configuration is what hosts.yml says").close
    assert close
    close(host)
    words = f"{API}: {API}:--audit-log-maxage {MANAGER}: {SCHEDULER}:"
    assert host.world.ran == [f"upload-configuration.sh kubeadm {words}"]
    assert "audit-log-maxage" in host.world.payloads["upload-configuration.sh"]


def test_a_worker_has_no_control_plane_to_drift() -> None:
    made = cluster(GRACE)
    assert drift.control_plane(made, made.hosts["client"]) == drift.taken_up(made, made.hosts["client"]) == []


# --- what is taken back


@pytest.mark.parametrize(("to", "is_lost"), [({}, True), ({"encryption_provider_config": "/b"}, True), (ENC, False)])
def test_a_put_back_by_which_secrets_can_be_read_no_more_says_so(to: dict[str, str], is_lost: bool) -> None:
    told = drift.other(API, manifest(**to))(master(manifest(oidc_issuer_url="https://id.example", **ENC)))
    lost = "; what is encrypted in etcd by /a, Secrets say, nobody reads without its keys"
    assert str(told).endswith(lost) == is_lost


def test_what_goes_by_a_put_back_is_told_whoever_wrote_it() -> None:
    rendered = manifest(audit_log_maxage="10")
    for facts in (master(OIDC, left=manifest()), by_hand(master(OIDC))):
        told = drift.other(API, rendered)(facts)
        assert told == (
            f"{API}: without --audit-log-maxage=10, with --oidc-issuer-url=https://id.example, "
            "with --oidc-client-secret=(hidden)"
        )
    assert drift.other(API, rendered)(master(rendered)) is None
    assert drift.other(API, rendered)(by_hand(master(rendered))) == f"{API}: the same, but not marked as kubefab's"
    assert drift.other(API, rendered)(with_(master(), now={})) == f"{API}: its manifest is missing"


def test_that_kubefab_has_had_a_static_pod_begin_anew_is_nothing_to_take_back() -> None:
    text = b"metadata: {annotations: {kubefab.internal/restarted: '1'}}\nspec: {containers: [{command: [x]}]}\n"
    plain = b"metadata: {}\nspec: {containers: [{command: [x]}]}\n"
    now, rendered = (Manifest.read(b64encode(one).decode()) for one in (text, plain))
    assert drift.other(API, rendered)(master(now)) is None
