"""The control plane is what hosts.yml says: its flags, and what else kubeadm makes its static pods of.

Only what kubefab has made itself is changed unasked, and what hosts.yml does not name is nobody's drift.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kubefab import kubeadm, render
from kubefab.cluster import Cluster
from kubefab.differences import HIDDEN, differences, same
from kubefab.errors import HostError, Silent
from kubefab.facts import ClusterFacts, Facts, Kubeadm, Manifest
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import Gap, Step, Subject, complaint, notice, on_cluster, script, sha256, when, where_there_is_one
from kubefab.steps import drift_names, health

KUBELET = "kubelet"
CONFIG = "/var/lib/kubelet/config.yaml"
SECONDS = 120  # until what a new manifest starts is well
TAKEN_UP = 60  # seconds in which a kubelet that can has ended what ran by the former one
PHASES = {
    "kube-apiserver": "control-plane apiserver",
    "kube-controller-manager": "control-plane controller-manager",
    "kube-scheduler": "control-plane scheduler",
}
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")  # which kubeadm hands on into what it writes
API_SERVER, ENCRYPTION = "kube-apiserver", "--encryption-provider-config"
PARTS = ("manifests", "kubeadm", "node")  # of the look
ONE_FOLDER = "have InitConfiguration and JoinConfiguration name one folder, which is on all masters"
ANONYMOUS = "--anonymous-auth"  # which hosts.yml does not take any more
UPLOAD = (
    "on {0}, kubeadm init phase upload-config kubeadm --config FILE, of a backup's kubeadm.yaml or a "
    "ClusterConfiguration that says what this cluster has"
)
UNMARKED = "the same, but not marked as kubefab's"


def taken_up(cluster: Cluster, host: Host) -> list[Step]:
    """Before anybody waits for an API server: it may not come up by a manifest whose making was cut off."""

    def settle(host: Host) -> None:
        for pod in _half_pods(cluster.facts(host)):
            host.change("remake-manifest.sh", str(SECONDS), pod, "")

    if host.wanted.role != "master":
        return []
    return [Step("no change of a manifest is half done", half_done, settle, parts=("manifests",))]


def control_plane(cluster: Cluster, host: Host) -> list[Step]:
    """One master's. Whoever goes through several of them takes one after the other."""
    if host.wanted.role != "master":
        return []
    return [
        *taken_up(cluster, host),
        *_etcd(cluster, host),
        *(step for pod in PHASES for step in _pod(cluster, host, pod)),
        *drift_names.server(cluster, host),
        Step(
            "kubeadm's configuration is what hosts.yml says",
            unlike_stored(cluster.inventory),
            lambda host: _upload(cluster, host),
            touches="masters",
            parts=PARTS,
        ),
        *when(
            host.name == cluster.speaker.name,
            notice(
                "what changes in no cluster that runs is as in hosts.yml",
                lasting(cluster.inventory),
                _LASTING,
                ("kubeadm",),
            ),
        ),
    ]


def readable(cluster: Cluster, host: Host) -> list[Step]:
    """Before a run changes API servers unasked: what they are well without, and their Secrets are not."""
    if host.wanted.role != "master":
        return []
    return [
        complaint(
            "hosts.yml names what Secrets are read by", unreadable(cluster.inventory), _UNREADABLE.format(host.name)
        )
    ]


def put_back(rendered: Mapping[str, Manifest]) -> Subject:
    """A master's static pods as kubeadm makes them, whoever has changed them. `rendered`: what it would write."""

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        states = [*taken_up(cluster, host)]
        for pod, manifest in rendered.items():
            title = f"{pod} is as kubeadm makes it"
            states += [replace(_made(cluster, host, pod), title=title, gap=other(pod, manifest)), *_proven(pod)]
        return states

    return steps


def documents(inventory: Inventory, host: Host, facts: Facts, *component: Mapping[str, Any]) -> str:
    """What kubeadm reads to make this master's static pods; and a component's configuration, where that is meant."""
    pod = facts.manifests.now.get("kube-apiserver")
    told = pod.settings if pod else {}
    return kubeadm.control_plane_documents(
        inventory,
        facts.node.name if facts.node else host.name,
        told.get("--advertise-address") or str(host.wanted.address),
        int(told.get("--secure-port") or kubeadm.API_PORT),
        target(inventory, facts),
        *component,
        patches=patches(inventory, host),
    )


def patches(inventory: Inventory, host: Host) -> str:
    """The folder of somebody's own, with which kubeadm has made what is on this host; "" for none.

    HostError where hosts.yml names one for who made the cluster, and another for who joins it: it may be either.
    """
    made, joined = _folders(inventory)
    if made == joined or host.wanted.role == "worker":
        return joined
    if len(inventory.masters) == 1:
        return made
    what = f"nobody knows with which patches it was made: hosts.yml names '{made}' for init, and '{joined}' for joins"
    raise HostError(what, hint=ONE_FOLDER)


def _etcd(cluster: Cluster, host: Host) -> Iterator[Step]:
    """It is only told: hosts.yml changes nothing of it, and kubeadm would make its manifest for a new cluster."""
    back = _BACK.format(host.name, "etcd")
    yield from _as_left(cluster, "etcd", f"{_OWN_ETCD}; to take it back, {back}", back)


def _as_left(cluster: Cluster, pod: str, hint: str, back: str) -> Iterator[Step]:
    parts = ("manifests", "node")
    yield notice(f"{pod}'s manifest is there", taken_away(pod), back, parts)
    yield notice(f"{pod} is as kubefab has left it", left_alone(cluster.inventory, pod), hint, parts)


def _pod(cluster: Cluster, host: Host, pod: str) -> Iterator[Step]:
    put_back = f"write it into hosts.yml, or: inv cluster.put-back --host {host.name}"
    yield from _as_left(cluster, pod, put_back, _BACK.format(host.name, pod))
    yield _made(cluster, host, pod)
    hint = f"see what it says: journalctl -u kubelet; ls /var/log/containers/{pod}*"
    yield Step(
        f"the kubelet has taken up {pod}'s manifest",
        ending(pod),
        None,
        hint=hint,
        within=TAKEN_UP + 30,
        parts=("manifests", "node"),
    )
    yield Step(
        f"{pod} runs by its manifest",
        other_process(pod),
        script("restart-service.sh", "kubelet"),
        hint=hint,
        within=SECONDS,
        warning=_restart(host, pod),
        parts=("manifests", "node"),
    )
    yield from _proven(pod)


def _made(cluster: Cluster, host: Host, pod: str) -> Step:
    """By kubeadm's own phase."""

    def remake(host: Host) -> None:
        inventory, facts = cluster.inventory, cluster.facts(host)
        words = (str(SECONDS), pod, PHASES[pod], *lines(inventory, facts, pod))
        host.change("remake-manifest.sh", *words, payload=documents(inventory, host, facts))

    return Step(
        f"{pod} is what hosts.yml says",
        unlike(cluster.inventory, pod),
        remake,
        hint="where it says that the former manifest is there again: hosts.yml has something that it does not bear",
        touches="masters",
        warning=_restart(host, pod),
        parts=PARTS,
    )


def _restart(host: Host, pod: str) -> str:
    return f"the API server of {host.name} restarts" if pod == API_SERVER else ""


def _proven(pod: str) -> tuple[Step, ...]:
    return when(pod == "kube-apiserver", health.api_server())


def _upload(cluster: Cluster, host: Host) -> None:
    document = documents(cluster.inventory, host, cluster.facts(host))
    words = [word for pod in PHASES for word in to_store(cluster.inventory, pod)]
    host.change("upload-configuration.sh", "kubeadm", *words, payload=document)


# --- what hosts.yml wants


def target(inventory: Inventory, facts: Facts) -> dict[str, Any]:
    """The ClusterConfiguration as it should be. Silent where nobody tells the one there is."""
    told = kept(facts).configuration
    if not told:
        what = "kubeadm keeps no configuration in the cluster: kubeadm-config is missing"
        raise HostError(what, hint=f"bring it back: {UPLOAD.format(facts.name)}")
    away = {pod: once_said(inventory, facts, pod) for pod in PHASES}
    return understood(lambda: kubeadm.put_right(inventory, told.text, away))


def kept(facts: Facts) -> Kubeadm:
    """What kubeadm keeps in the cluster. Silent where nobody could read it: that is not to keep nothing."""
    told = facts.kubeadm
    if not told.configuration and not told.configuration_missing:
        raise Silent("what kubeadm keeps in the cluster cannot be read")
    return told


def wanted_of(inventory: Inventory, name: str) -> dict[str, str]:
    """What hosts.yml says of a static pod, or of the kubelet. What it says of etcd comes to no cluster that runs."""
    if name == KUBELET:
        return kubeadm.component_settings(inventory, kubeadm.KUBELET)
    return kubeadm.wanted_settings(inventory, name) if name in PHASES else {}


def lines(inventory: Inventory, facts: Facts, pod: str) -> list[str]:
    """What to remember of a file that is made of what hosts.yml says (scripts/shared/marks.sh)."""
    wanted = wanted_of(inventory, pod)
    told = kept(facts).configuration
    keeps = understood(lambda: kubeadm.parts(kubeadm.loaded(told.text))) if told else {}
    away = [one for one in once_said(inventory, facts, pod) if f"{kubeadm.SECTIONS[pod]}: {one}" in keeps]
    return [*given(wanted), *said(inventory, _patchable(inventory, pod)), *(f"stored {one}" for one in sorted(away))]


def given(wanted: Mapping[str, str]) -> list[str]:
    return [f"given {one}" for one in wanted]


def said(inventory: Inventory, wanted: Mapping[str, str]) -> list[str]:
    """What was made of these values, where somebody's patches are made of it too: another one is theirs by that."""
    return [f"said {one} {sha256(value)}" for one, value in wanted.items()] if any(_folders(inventory)) else []


def patched(inventory: Inventory, facts: Facts, name: str) -> set[str]:
    """What of it hosts.yml says as when the file was made, and is another only by the patches that it names."""
    now, left = facts.manifests.now.get(name), facts.manifests.left.get(name)
    if not now or not left or not any(_folders(inventory)):
        return set()
    wanted = {one: f"{name} {one} {sha256(value)}" for one, value in _patchable(inventory, name).items()}
    same_as_said = [one for one, line in wanted.items() if line in facts.manifests.said]
    return {one for one in same_as_said if now.settings.get(one) == left.settings.get(one)}


def _patchable(inventory: Inventory, name: str) -> dict[str, str]:
    """What hosts.yml says of a file that is made by kubeadm: of itself, and of the proxy that kubeadm hands on."""
    handed_on = render.environment(inventory) if name in PHASES else {}
    return {**{_variable(one): value for one, value in handed_on.items()}, **wanted_of(inventory, name)}


def _folders(inventory: Inventory) -> tuple[str, str]:
    """Of the patches that hosts.yml names: for who makes the cluster, and for who joins it; "" for none."""
    made, joined = (inventory.told(f"{kind}Configuration.patches.directory") or "" for kind in ("Init", "Join"))
    return str(made), str(joined)


def to_store(inventory: Inventory, name: str) -> list[str]:
    """What to remember of what kubeadm keeps (scripts/upload-configuration.sh)."""
    return [f"{name}:", *(f"{name}:{one}" for one in wanted_of(inventory, name))]


def gone(inventory: Inventory, facts: Facts, pod: str) -> list[str]:
    """What hosts.yml has said of it once, and says no more, or may say no more: that stays."""
    wanted = wanted_of(inventory, pod)
    return [one for one in facts.manifests.given_to(pod) if one not in wanted and one != ANONYMOUS]


def dropped(inventory: Inventory, facts: Facts, pod: str) -> list[str]:
    """The same, of what kubeadm's configuration may have."""
    wanted = wanted_of(inventory, pod)
    pairs = (one.partition(" ") for one in facts.manifests.stored)
    return [setting for name, _, setting in pairs if name == pod and setting not in wanted and setting != ANONYMOUS]


def once_said(inventory: Inventory, facts: Facts, pod: str) -> set[str]:
    """Both: what has to go, wherever it is by now."""
    return {*gone(inventory, facts, pod), *dropped(inventory, facts, pod)}


def understood(read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """HostError for a configuration that is none of kubeadm's."""
    try:
        return read()
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        what = f"kubeadm's configuration cannot be understood: {type(error).__name__} {error}"
        raise HostError(what, hint="see it: kubectl -n kube-system get configmap kubeadm-config -o yaml") from None


# --- what is so instead


def half_done(facts: Facts) -> str | None:
    return ", ".join(_half_pods(facts)) or None


def _half_pods(facts: Facts) -> list[str]:
    return [name for name in facts.manifests.halfway if name != KUBELET]


def by_hand(inventory: Inventory, pod: str) -> Gap:
    """What somebody has changed, and hosts.yml does not say; and what it says of a manifest that is not kubefab's."""
    wanted = wanted_of(inventory, pod)

    def gap(facts: Facts) -> str | None:
        if pod != KUBELET and is_gone(facts, pod):
            return "changed by hand: its manifest is missing"
        now = there(facts, pod)
        if now is None or facts.manifests.is_kubefabs(pod):
            return None
        if now.broken:
            return f"it cannot be read: {now.broken}"
        if facts.manifests.is_marked(pod):
            others = changed(facts, pod, wanted)
            return f"changed by hand: {', '.join(others)}" if others else None
        found = differences(now.settings, wanted, wanted)
        return f"{', '.join(found)}; kubefab has not made it" if found else None

    return gap


def taken_away(pod: str) -> Gap:
    return lambda facts: "somebody has taken it away" if is_gone(facts, pod) else None


def left_alone(inventory: Inventory, pod: str) -> Gap:
    """And what of hosts.yml does not come there meanwhile."""
    wanted = wanted_of(inventory, pod)

    def gap(facts: Facts) -> str | None:
        if pod != KUBELET and is_gone(facts, pod):
            return None  # taken_away tells it
        found, now = by_hand(inventory, pod)(facts), there(facts, pod)
        if not found or now is None or now.broken:
            return found
        among = [one for one in wanted if one not in patched(inventory, facts, pod)]
        waits = [one for one in differences(now.settings, wanted, among) if one not in found]
        return f"{found}; so hosts.yml waits: {', '.join(waits)}" if waits else found

    return gap


def unlike(inventory: Inventory, pod: str) -> Gap:
    """Of a manifest that is kubefab's own: what hosts.yml says otherwise, and what comes with it."""
    wanted = kubeadm.wanted_settings(inventory, pod)

    @where_there_is_one
    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        now = there(facts, pod)
        if now is None or not is_ours(facts, pod, wanted):
            return None
        away = [one for one in gone(inventory, facts, pod) if one in now.settings]
        theirs = patched(inventory, facts, pod)
        found = differences(now.settings, wanted, [*(one for one in wanted if one not in theirs), *away])
        found += _proxied_otherwise(inventory, facts, pod, now)
        if not found:
            return None if facts.manifests.is_kubefabs(pod) or not changed(facts, pod, {}) else _SAID
        coming = _coming(inventory, facts, pod)
        others = differences(now.settings, coming, [one for one in coming if one not in wanted])
        return "; ".join([*found, *others])

    return gap


def _coming(inventory: Inventory, facts: Facts, pod: str) -> dict[str, str]:
    """What kubeadm would make of its configuration."""
    return kubeadm.settings(target(inventory, facts).get(kubeadm.SECTIONS[pod]) or {})


def _proxied_otherwise(inventory: Inventory, facts: Facts, pod: str, now: Manifest) -> list[str]:
    """Of a manifest that is kubefab's own: the variables of the proxy, in words, which kubeadm would hand on otherwise.

    Nothing else has given them: kubefab runs kubeadm without the login's. But what kubeadm keeps of that name comes
    first, and somebody's patches come last: one that hosts.yml does not name may be theirs, which nobody can tell.
    """
    found = _unlike_proxy(render.environment(inventory), now.settings)
    if not found or _may_be_of_patches(inventory):
        return []
    places = (*patched(inventory, facts, pod), *_coming(inventory, facts, pod), *gone(inventory, facts, pod))
    theirs = {one.partition(".")[0] for one in places}
    return [told for name, told in found.items() if f"env[{name}]" not in theirs]


def _may_be_of_patches(inventory: Inventory) -> bool:
    """A proxy that hosts.yml does not name; and any, where nobody knows with which patches a master was made."""
    made, joined = _folders(inventory)
    return (not inventory.proxy and bool(made or joined)) or (made != joined and len(inventory.masters) > 1)


def _unlike_proxy(wanted: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Of each variable that is another, how. What is reached directly besides is as good.

    hosts.yml's have no login; what has an @ may be one, whatever it looks like.
    """
    given = {name: settings[place] for name in VARIABLES if (place := _variable(name)) in settings}
    now = {name: HIDDEN if "@" in value else value for name, value in given.items()}
    found = {name: differences(now, wanted, [name]) for name in VARIABLES}
    if "NO_PROXY" in now and "NO_PROXY" in wanted:
        directly = now["NO_PROXY"].split(",")
        lacking = [one for one in wanted["NO_PROXY"].split(",") if one not in directly]
        found["NO_PROXY"] = [f"NO_PROXY lacks {', '.join(lacking)}"] if lacking else []
    return {name: told[0] for name, told in found.items() if told}


def _variable(name: str) -> str:
    return f"env[{name}].value"


def unreadable(inventory: Inventory) -> Gap:
    """What hosts.yml has said once of how Secrets are written, and is to go."""

    def gap(facts: Facts) -> str | None:
        now = there(facts, API_SERVER)
        lost = ENCRYPTION in gone(inventory, facts, API_SERVER) and now and ENCRYPTION in now.settings
        return f"hosts.yml names {ENCRYPTION} no more" if lost else None

    return gap


def ending(pod: str) -> Gap:
    """What runs by a former manifest, and may only be ending."""
    return lambda facts: _older(facts, pod) if _is_taking_up(facts, pod) else None


def other_process(pod: str) -> Gap:
    """Its kubelet starts it anew by a manifest that has changed, if it runs and can."""
    return lambda facts: None if _is_taking_up(facts, pod) else _older(facts, pod)


def _is_taking_up(facts: Facts, pod: str) -> bool:
    return 0 <= facts.manifests.written_ago.get(pod, TAKEN_UP) < TAKEN_UP


def _older(facts: Facts, pod: str) -> str | None:
    """What nothing of runs is not older, and others' manifests are theirs."""
    now = there(facts, pod)
    if now is None or not facts.manifests.is_kubefabs(pod):
        return None
    flags = {name: value for name, value in now.settings.items() if name.startswith("--")}
    running = [one.flags for one in facts.manifests.running if one.pod == pod]
    # What stands in for a variable of its environment, $(NAME), is another text there; and $$ is one $.
    here = {name: value.replace("$$", "$") for name, value in flags.items() if "$(" not in value}
    found = [
        differences(told, here, [name for name in {**flags, **told} if name in here or name not in flags])
        for told in running
    ]
    return f"what runs is older: {'; '.join(found[0])}" if found and all(found) else None


def other(pod: str, rendered: Manifest) -> Gap:
    """What its manifest is, and kubeadm would not make it."""

    def gap(facts: Facts) -> str | None:
        now = facts.manifests.now.get(pod)
        if not now or now.broken:
            return f"{pod}: its manifest {'cannot be read' if now else 'is missing'}"
        among = [one for one in {**rendered.settings, **now.settings} if not one.startswith(_OWN)]
        if found := differences(now.settings, rendered.settings, among):
            return f"{pod}: {', '.join(found)}{_unread(now, rendered)}"
        return None if facts.manifests.is_kubefabs(pod) else f"{pod}: {UNMARKED}"

    return gap


def _unread(now: Manifest, then: Manifest) -> str:
    """What is lost besides where it goes by what Secrets are read: /readyz says ok without them."""
    file = now.settings.get(ENCRYPTION)
    return _ENCRYPTED.format(file) if file and file != then.settings.get(ENCRYPTION) else ""


def unlike_stored(inventory: Inventory) -> Gap:
    """Where the static pods here are what hosts.yml says: what they do not bear, no other master shall get."""

    @where_there_is_one
    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        if not any_kubefabs(facts):
            return None
        told = kept(facts).configuration
        if not told or any(by_hand(inventory, pod)(facts) or unlike(inventory, pod)(facts) for pod in PHASES):
            return None
        now = understood(lambda: kubeadm.parts(kubeadm.loaded(told.text)))
        wanted = kubeadm.parts(target(inventory, facts))
        # What kubeadm writes besides into what hosts.yml names, a default of the API's, would come again.
        among = [*wanted, *(one for one in _going(inventory, facts) if one in now and one not in wanted)]
        return "; ".join(differences(now, wanted, among)) or None

    return gap


def _going(inventory: Inventory, facts: Facts) -> list[str]:
    """What hosts.yml has said once, as it is called among the parts of kubeadm's configuration."""
    return [
        f"{section}: {one}"
        for pod, section in kubeadm.SECTIONS.items()
        for one in sorted(once_said(inventory, facts, pod))
    ]


def lasting(inventory: Inventory) -> Gap:
    """What hosts.yml says of the cluster's configuration besides, and kubeadm has no phase for."""
    wanted = kubeadm.wanted_lasting(inventory)

    def gap(facts: Facts) -> str | None:
        told = kept(facts).configuration if wanted and facts.local.control_plane else None
        if not told:
            return None
        found = understood(lambda: kubeadm.lasting(kubeadm.loaded(told.text)))
        return "; ".join(differences(found, wanted, wanted)) or None

    return gap


def there(facts: Facts, name: str) -> Manifest | None:
    """Its file, where there is a whole control plane, or node, and nothing half done."""
    whole = facts.trusted and not facts.local.join_begun if name == KUBELET else facts.local.control_plane
    return facts.manifests.now.get(name) if whole and name not in facts.manifests.halfway else None


def is_gone(facts: Facts, pod: str) -> bool:
    """Whether somebody has taken the file away that kubefab has left."""
    whole = facts.local.control_plane and not facts.local.restore_begun  # which puts all manifests aside
    if pod == KUBELET:
        whole = facts.trusted and not facts.local.join_begun
    return whole and facts.manifests.is_marked(pod) and pod not in facts.manifests.now


def is_ours(facts: Facts, pod: str, wanted: Mapping[str, str]) -> bool:
    """Whether nothing of it would be lost that somebody else has written."""
    if facts.manifests.is_kubefabs(pod):
        return True
    now = facts.manifests.now[pod]
    return facts.manifests.is_marked(pod) and not now.broken and not changed(facts, pod, wanted)


def any_kubefabs(facts: Facts) -> bool:
    """Whether a static pod here is as kubefab has left it."""
    return any(map(facts.manifests.is_kubefabs, PHASES))


def changed(facts: Facts, pod: str, wanted: Mapping[str, str]) -> list[str]:
    """What somebody has changed since kubefab left it, but for what hosts.yml says by now."""
    now, left = facts.manifests.now[pod].settings, facts.manifests.left.get(pod)
    if left is None or left.broken:
        return ["nobody knows what, since kubefab's copy is gone"]
    said = {name for name, value in wanted.items() if same(now.get(name), value)}
    names = [name for name in {**left.settings, **now} if not name.startswith(_OWN)]
    return differences(now, left.settings, [name for name in names if name not in said])


_LASTING = (
    "put into hosts.yml what there is; another one is for a new cluster (`inv cluster.reset`), or for your own hands: "
    "kubectl -n kube-system edit configmap kubeadm-config, and what was made by it"
)
_UNREADABLE = (
    "put it back into hosts.yml; or, once all Secrets are written without it "
    "(https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/#decrypting-all-data): "
    "inv cluster.put-back --host {}"
)
_ENCRYPTED = "; what is encrypted in etcd by {}, Secrets say, nobody reads without its keys"
_BACK = (
    "on {0}, put back what was there; as kubefab has left it: cp /var/lib/kubefab-manifests/{1}.yaml /etc/kubernetes/ "
    "&& mv /etc/kubernetes/{1}.yaml /etc/kubernetes/manifests/"
)
_OWN_ETCD = "kubefab leaves it so, and an upgrade makes it anew"
_OWN = "metadata.annotations.kubefab.internal/"  # by which kubefab has had a static pod begin anew
_SAID = "what somebody has changed by hand, hosts.yml says by now"
