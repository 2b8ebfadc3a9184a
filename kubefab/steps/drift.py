"""The control plane is what hosts.yml says: its flags, and what else kubeadm makes its static pods of.

Only what kubefab has made itself is changed unasked, and what hosts.yml does not name is nobody's drift.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kubefab import kubeadm, render
from kubefab.cluster import Cluster
from kubefab.differences import HIDDEN, differences
from kubefab.facts import ClusterFacts, Facts, Manifest
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import Gap, Step, Subject, complaint, notice, on_cluster, script, when, where_there_is_one
from kubefab.steps import drift_names, health
from kubefab.steps.marked import (
    API_SERVER,
    ENCRYPTION,
    KUBELET,
    OWN,
    PARTS,
    PHASES,
    SAID,
    UNMARKED,
    any_kubefabs,
    by_hand,
    changed,
    documents,
    folders,
    gone,
    is_ours,
    kept,
    left_alone,
    lines,
    once_said,
    patched,
    taken_away,
    target,
    there,
    to_store,
    understood,
    variable,
)

SECONDS = 120  # until what a new manifest starts is well
TAKEN_UP = 60  # seconds in which a kubelet that can has ended what ran by the former one
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")  # which kubeadm hands on into what it writes


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


def _etcd(cluster: Cluster, host: Host) -> Iterator[Step]:
    """It is only told: hosts.yml changes nothing of it, and kubeadm would make its manifest for a new cluster."""
    back = health.BACK.format(host.name, "etcd")
    yield from _as_left(cluster, "etcd", f"{_OWN_ETCD}; to take it back, {back}", back)


def _as_left(cluster: Cluster, pod: str, hint: str, back: str) -> Iterator[Step]:
    parts = ("manifests", "node")
    yield notice(f"{pod}'s manifest is there", taken_away(pod), back, parts)
    yield notice(f"{pod} is as kubefab has left it", left_alone(cluster.inventory, pod), hint, parts)


def _pod(cluster: Cluster, host: Host, pod: str) -> Iterator[Step]:
    put_back = f"write it into hosts.yml, or: inv cluster.put-back --host {host.name}"
    yield from _as_left(cluster, pod, put_back, health.BACK.format(host.name, pod))
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


# --- what is so instead


def half_done(facts: Facts) -> str | None:
    return ", ".join(_half_pods(facts)) or None


def _half_pods(facts: Facts) -> list[str]:
    return [name for name in facts.manifests.halfway if name != KUBELET]


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
            return None if facts.manifests.is_kubefabs(pod) or not changed(facts, pod, {}) else SAID
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
    made, joined = folders(inventory)
    return (not inventory.proxy and bool(made or joined)) or (made != joined and len(inventory.masters) > 1)


def _unlike_proxy(wanted: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Of each variable that is another, how. What is reached directly besides is as good.

    hosts.yml's have no login; what has an @ may be one, whatever it looks like.
    """
    given = {name: settings[place] for name in VARIABLES if (place := variable(name)) in settings}
    now = {name: HIDDEN if "@" in value else value for name, value in given.items()}
    found = {name: differences(now, wanted, [name]) for name in VARIABLES}
    if "NO_PROXY" in now and "NO_PROXY" in wanted:
        directly = now["NO_PROXY"].split(",")
        lacking = [one for one in wanted["NO_PROXY"].split(",") if one not in directly]
        found["NO_PROXY"] = [f"NO_PROXY lacks {', '.join(lacking)}"] if lacking else []
    return {name: told[0] for name, told in found.items() if told}


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
        among = [one for one in {**rendered.settings, **now.settings} if not one.startswith(OWN)]
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
_OWN_ETCD = "kubefab leaves it so, and an upgrade makes it anew"
