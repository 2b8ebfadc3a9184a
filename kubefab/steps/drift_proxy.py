"""kube-proxy's configuration is what hosts.yml says, and what its pods were begun with."""

import json
from collections.abc import Callable, Mapping

from kubefab import kubeadm
from kubefab.cluster import Cluster
from kubefab.differences import differences
from kubefab.facts import ClusterFacts, Facts, Kubeadm, Manifest
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import MISSING, Close, Gap, Step, notice, on_cluster, sha256, where_there_is_one
from kubefab.steps.health import KUBE_PROXY
from kubefab.steps.marked import (
    PARTS,
    SAID,
    any_kubefabs,
    kept,
    left_out,
    otherwise,
    understood,
)

MARK = "kubefab.internal/configuration"  # of kube-proxy's DaemonSet: the sha256 of what its pods were begun with
CHANGING = "changing"  # the same, while they are about to begin with another one
LEFT = "kubefab.internal/left"  # of its ConfigMap: the configuration as kubefab has left it (scripts/look/kubeadm.sh)


def proxy(cluster: Cluster, host: Host) -> list[Step]:
    """kubeadm makes its configuration once, and no upgrade changes what it says."""
    inventory = cluster.inventory
    if host.name != cluster.speaker.name:
        return []
    return [
        notice(
            "kube-proxy's configuration is as kubefab has left it",
            edited_proxy(inventory),
            f"write it into hosts.yml, or: inv cluster.put-back --host {host.name}",
            PARTS,
        ),
        Step(
            "kube-proxy's configuration is what hosts.yml says",
            unlike_proxy(inventory),
            _put(cluster, lambda told: told.proxies),
            touches="cluster",
            parts=PARTS,
        ),
        notice("kube-proxy's configuration is kubefab's", foreign_proxy(inventory), _FOREIGN.format(host.name), PARTS),
        *begun_proxy(cluster, host),
        noted_proxy(cluster),
    ]


def begun_proxy(cluster: Cluster, host: Host) -> list[Step]:
    """Its pods go by what they were begun with. Any master may have them begin."""

    def begin(host: Host) -> None:
        told = cluster.facts(host).kubeadm.proxies
        about = {"metadata": {"annotations": {MARK: sha256(told.text if told else "")}}}
        _patch(host, "daemonset", {**about, "spec": {"template": about}})

    title, gap = "every kube-proxy is begun with its configuration", older_proxy(cluster.inventory)
    return [Step(title, gap, begin, touches="cluster", parts=PARTS)] if host.wanted.role == "master" else []


def noted_proxy(cluster: Cluster) -> Step:
    """As kubeadm has made it: by this an edit is seen. An upgrade makes its ConfigMap anew, without what is noted."""

    def note(host: Host) -> None:
        told = cluster.facts(host).kubeadm.proxies
        assert told  # the gap has read it
        _patch(host, "configmap", {"metadata": {"annotations": {LEFT: told.text}}})

    return Step("kubefab has noted what kube-proxy's configuration is", unnoted_proxy, note, parts=PARTS)


def put_back_proxy(cluster: Cluster, host: Host) -> list[Step]:
    """What kubefab has left of kube-proxy's configuration, with what hosts.yml says of it; by any master."""
    title, gap = "kube-proxy's configuration is taken back", going_of_proxy(cluster.inventory)
    put = _put(cluster, lambda told: told.proxies_left)
    return [Step(title, gap, put, touches="cluster", parts=PARTS)] if host.wanted.role == "master" else []


def _put(cluster: Cluster, base: Callable[[Kubeadm], Manifest | None]) -> Close:
    """hosts.yml's word over this."""
    inventory = cluster.inventory

    def put(host: Host) -> None:
        told = base(cluster.facts(host).kubeadm)
        assert told  # the gap has read it
        made = understood(lambda: kubeadm.component_put_right(inventory, kubeadm.PROXY, told.text, ()))
        text = kubeadm.dumped([made])
        # What was begun with another one is seen from here on, wherever this is cut off.
        _kubectl(host, "annotate", "daemonset", "kube-proxy", f"{MARK}={CHANGING}", "--overwrite")
        _patch(host, "configmap", {"metadata": {"annotations": {LEFT: text}}, "data": {"config.conf": text}})

    return put


def _kubectl(host: Host, *words: str) -> None:
    host.change("kubectl.sh", *words, "--namespace", "kube-system", about="kube-proxy")


def _patch(host: Host, kind: str, patch: Mapping[str, object]) -> None:
    _kubectl(host, "patch", kind, "kube-proxy", "--type", "merge", "--patch", json.dumps(patch))


# --- what is so instead


def unlike_proxy(inventory: Inventory) -> Gap:
    """In a cluster whose static pods are kubefab's, where nobody's edit would begin with it."""
    wanted = kubeadm.component_settings(inventory, kubeadm.PROXY)

    @where_there_is_one
    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        if not any_kubefabs(facts) or edits_of_proxy(inventory, facts):
            return None
        now, left = kept(facts).proxies, _left_of_proxy(facts)
        said_by_now = now and left and differences(now.settings, left.settings)
        return _of_proxy(facts, wanted) or (SAID if said_by_now else None)

    return gap


def foreign_proxy(inventory: Inventory) -> Gap:
    """What hosts.yml says of it in a cluster whose static pods are not kubefab's."""
    wanted = kubeadm.component_settings(inventory, kubeadm.PROXY)

    @where_there_is_one
    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        found = _of_proxy(facts, wanted) if wanted and not any_kubefabs(facts) else None
        return f"{found}; kubefab has not made it" if found else None

    return gap


def _of_proxy(facts: Facts, wanted: Mapping[str, str]) -> str | None:
    told = kept(facts).proxies
    return otherwise(told, wanted, (), left_out(wanted, told)) if told and not told.broken else None


def edits_of_proxy(inventory: Inventory, facts: Facts) -> list[str]:
    """What somebody has changed since kubefab left it, but for what hosts.yml names: there its word stands."""
    wanted = kubeadm.component_settings(inventory, kubeadm.PROXY)
    now, left = kept(facts).proxies, _left_of_proxy(facts)
    if not now or not left:
        return []
    if now.broken:
        return [f"it cannot be read: {now.broken}"]
    among = [one for one in {**left.settings, **now.settings} if one not in wanted]
    return differences(now.settings, left.settings, among)


def edited_proxy(inventory: Inventory) -> Gap:
    wanted = kubeadm.component_settings(inventory, kubeadm.PROXY)

    @where_there_is_one
    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        if not (found := edits_of_proxy(inventory, facts)):
            return None
        told, waits = f"changed by hand: {', '.join(found)}", _of_proxy(facts, wanted)
        return f"{told}; so hosts.yml waits: {waits}" if waits else told

    return gap


def going_of_proxy(inventory: Inventory) -> Gap:
    """What is there, and would be another by a put-back."""
    wanted = kubeadm.component_settings(inventory, kubeadm.PROXY)

    @where_there_is_one
    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        found, told = edits_of_proxy(inventory, facts), _of_proxy(facts, wanted)
        return f"kube-proxy: {', '.join(filter(None, (*found, told)))}" if found else None

    return gap


def older_proxy(inventory: Inventory) -> Gap:
    """While a change of kubefab's is under way. What somebody has edited since begins when he says so."""

    @where_there_is_one
    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        under_way = _proxy_mark(facts) == CHANGING and kept(facts).proxies
        return "its pods have an older one" if under_way and not edits_of_proxy(inventory, facts) else None

    return gap


@on_cluster
def unnoted_proxy(_: ClusterFacts, facts: Facts) -> str | None:
    """In a cluster whose static pods are kubefab's."""
    if not any_kubefabs(facts):
        return None
    told = kept(facts).proxies
    return MISSING if told and not told.broken and not _left_of_proxy(facts) else None


def _left_of_proxy(facts: Facts) -> Manifest | None:
    """What somebody has spoilt tells nothing."""
    left = facts.kubeadm.proxies_left
    return left if left and not left.broken else None


def _proxy_mark(facts: Facts) -> str:
    workload = facts.cluster.workloads.get(KUBE_PROXY) if facts.cluster else None
    return workload.annotations.get(MARK, "") if workload else ""


_FOREIGN = (
    "bring it yourself: kubectl -n kube-system edit configmap kube-proxy; or have the static pods be kubefab's, and it "
    "with them: inv cluster.put-back --host {}"
)
