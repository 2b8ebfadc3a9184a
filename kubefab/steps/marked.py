"""What hosts.yml wants of what kubeadm makes, and whose it is by now: as kubefab has left it, or changed by hand."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from kubefab import kubeadm, render
from kubefab.differences import differences, same
from kubefab.errors import HostError, Silent
from kubefab.facts import Facts, Kubeadm, Manifest
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import Gap, sha256

KUBELET = "kubelet"
CONFIG = "/var/lib/kubelet/config.yaml"
PHASES = {
    "kube-apiserver": "control-plane apiserver",
    "kube-controller-manager": "control-plane controller-manager",
    "kube-scheduler": "control-plane scheduler",
}
API_SERVER, ENCRYPTION = "kube-apiserver", "--encryption-provider-config"
PARTS = ("manifests", "kubeadm", "node")  # of the look
ONE_FOLDER = "have InitConfiguration and JoinConfiguration name one folder, which is on all masters"
ANONYMOUS = "--anonymous-auth"  # which hosts.yml does not take any more
UPLOAD = (
    "on {0}, kubeadm init phase upload-config kubeadm --config FILE, of a backup's kubeadm.yaml or a "
    "ClusterConfiguration that says what this cluster has"
)
UNMARKED = "the same, but not marked as kubefab's"
NOTHING = ("", "0", "0s", "False")  # what kubeadm does not write where it is the default
OWN = "metadata.annotations.kubefab.internal/"  # by which kubefab has had a static pod begin anew
SAID = "what somebody has changed by hand, hosts.yml says by now"


# --- what hosts.yml wants


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
    made, joined = folders(inventory)
    if made == joined or host.wanted.role == "worker":
        return joined
    if len(inventory.masters) == 1:
        return made
    what = f"nobody knows with which patches it was made: hosts.yml names '{made}' for init, and '{joined}' for joins"
    raise HostError(what, hint=ONE_FOLDER)


def folders(inventory: Inventory) -> tuple[str, str]:
    """Of the patches that hosts.yml names: for who makes the cluster, and for who joins it; "" for none."""
    made, joined = (inventory.told(f"{kind}Configuration.patches.directory") or "" for kind in ("Init", "Join"))
    return str(made), str(joined)


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
    return [f"said {one} {sha256(value)}" for one, value in wanted.items()] if any(folders(inventory)) else []


def patched(inventory: Inventory, facts: Facts, name: str) -> set[str]:
    """What of it hosts.yml says as when the file was made, and is another only by the patches that it names."""
    now, left = facts.manifests.now.get(name), facts.manifests.left.get(name)
    if not now or not left or not any(folders(inventory)):
        return set()
    wanted = {one: f"{name} {one} {sha256(value)}" for one, value in _patchable(inventory, name).items()}
    same_as_said = [one for one, line in wanted.items() if line in facts.manifests.said]
    return {one for one in same_as_said if now.settings.get(one) == left.settings.get(one)}


def _patchable(inventory: Inventory, name: str) -> dict[str, str]:
    """What hosts.yml says of a file that is made by kubeadm: of itself, and of the proxy that kubeadm hands on."""
    handed_on = render.environment(inventory) if name in PHASES else {}
    return {**{variable(one): value for one, value in handed_on.items()}, **wanted_of(inventory, name)}


def variable(name: str) -> str:
    return f"env[{name}].value"


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
    names = [name for name in {**left.settings, **now} if not name.startswith(OWN)]
    return differences(now, left.settings, [name for name in names if name not in said])


def left_out(wanted: Mapping[str, str], *them: Manifest) -> set[str]:
    """What is empty, and in none of them, as kubeadm does not write it where it is the default."""
    return {one for one, value in wanted.items() if value in NOTHING and not any(one in it.settings for it in them)}


def otherwise(now: Manifest, wanted: Mapping[str, str], away: Collection[str], without: Collection[str]) -> str | None:
    among = [*(one for one in wanted if one not in without), *(one for one in away if one in now.settings)]
    return "; ".join(differences(now.settings, wanted, among)) or None
