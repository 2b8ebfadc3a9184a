"""One more master: how it joins a cluster that has one, and becomes as good as the others."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

import yaml

from kubefab import etcd, kubeadm, render, runtimes
from kubefab.certificates import SHARED
from kubefab.cluster import Cluster
from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Etcd, Facts, Known, Unit, clock_time
from kubefab.host import Host
from kubefab.kubeadm import DOMAIN, MANIFESTS
from kubefab.step import MISSING, Gap, Step, Subject, complaint, files, on_cluster, script, where_there_is_one
from kubefab.steps import control_plane, health, reset, worker

SECONDS = 60  # without news of a member that has only just joined


def steps(cluster: Cluster, host: Host) -> list[Step]:
    """None for the master that has founded the cluster, or is to."""
    names = cluster.master_names
    founds = host.name == cluster.founder.name and not control_plane.joins(cluster.facts(host), names)
    if host.name not in names or founds:
        return []
    return [
        worker.own_name(host),
        complaint("no join by other means is in progress", worker.others_join, worker.RESTART.format(host.name)),
        *reset.unfinished(cluster, host),
        *_joinable(cluster, host),
        *_taken_back(cluster, host),
        Step(
            "the host is a master of the cluster",
            no_master,
            lambda host: join(cluster, host),
            hint=f"see what it says: journalctl -u kubelet, on {host.name}; ls /var/log/containers",
            touches="masters",
            warning=etcd.even(len(names)),
        ),
        Step("the host is a node", worker.no_node, None, within=30, touches="cluster"),
        *control_plane.kept(cluster, host),
        up_to_date(names, far=0 if grows(cluster) else etcd.FAR),
        worker.token_gone(cluster, host),
    ]


def _joinable(cluster: Cluster, host: Host) -> list[Step]:
    """What only a person can change about a cluster that one more master is to join."""
    return [
        complaint("kubeadm keeps etcd on the masters", joining(elsewhere), _ELSEWHERE),
        complaint("a master has the keys that all masters share", joining(keyless(cluster.master_names)), _KEYS),
        complaint("the cluster's endpoint is for several masters", joining(unstable(_addresses(cluster))), _ENDPOINT),
        complaint("each API server tells its own address", joining(one_for_all), _ADVERTISED),
        complaint(
            "the kubelet will find its name servers", joining(nameless(_resolver_told(cluster, host))), health.NAMELESS
        ),
        complaint("every member of etcd answers", joining(dead(_addresses(cluster)))),
    ]


def _taken_back(cluster: Cluster, host: Host) -> list[Step]:
    """Removes what an earlier join or machine has left: here, in etcd, and in kubeadm's configuration."""
    address, names = str(host.wanted.address), cluster.master_names
    stale = f"etcd has no member of an earlier {host.name}"

    def remove(host: Host) -> None:
        member = former(address)(cluster.facts(host))
        assert member  # the gap has seen it
        cluster.speaker.during(stale).change("remove-member.sh", f"{member.id:x}", about=f"member {host.name}")

    return [
        Step("the kubelet of the interrupted join runs", idle, script("restart-service.sh", "kubelet"), within=20),
        Step("an interrupted join has another master", alone, None, within=SECONDS, touches="cluster"),
        Step(
            "etcd keeps its majority without an earlier member",
            needed(address, names),
            None,
            hint="start the masters that do not answer",
            within=SECONDS,
            touches="masters",
        ),
        Step(stale, lambda facts: _called(former(address)(facts)), remove, touches="masters", parts=()),
        Step(
            "no interrupted join of a master is left",
            broken_off,
            script("tear-down.sh", runtimes.cri_socket(cluster.inventory), "unasked"),
            touches="cluster",
        ),
        worker.no_earlier(host.name),
        Step(
            "kubeadm's configuration has no master's address",
            joining(addressed(_addresses(cluster))),
            lambda _: _forget_addresses(cluster, host),
            parts=(),
            touches="masters",
        ),
    ]


@on_cluster
def no_master(_: ClusterFacts, facts: Facts) -> str | None:
    return MISSING if _joins(facts) else None


def _joins(facts: Facts) -> bool:
    return not facts.local.admin_ca or bool(facts.local.master_begun)


def grows(cluster: Cluster) -> bool:
    """Whether a master has yet to join: until then every member has to have all that the others have."""
    return _to_come(cluster) > 0


def _to_come(cluster: Cluster) -> int:
    """How many masters have yet to join."""
    return sum(_joins(cluster.facts(host)) for host in cluster.masters if cluster.looked_at(host))


def counted(dry: bool) -> Subject:
    """That etcd's members are known: else nobody can tell whether one more would be the second.

    A `dry` run waits for nothing, and says what it does not know.
    """

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        step = Step(
            "it is known who the members of etcd are",
            uncounted(cluster.master_names),
            None,
            hint="see what etcd says: inv etcd.status; after a reboot: inv fix-reboot; then the same command again",
            within=SECONDS,
            touches="masters",
            parts=("etcd",),
            only_told=dry,
        )
        return [step] if grows(cluster) else []

    return steps


def uncounted(names: Sequence[str]) -> Gap:
    """Why no master's etcd lists the members."""

    def gap(facts: Facts) -> str | None:
        ours = facts.local.control_plane and etcd.is_on(facts) and not facts.etcd.elsewhere
        if not ours or any(one.etcd.membership for one in _masters(facts, names)):
            return None
        why = facts.etcd.etcd_silent if facts.etcd.etcd_runs else "it does not run"
        return f"its etcd does not say: {why or 'no list of its members can be read'}"

    return gap


def joining(gap: Gap) -> Gap:
    """A gap that is asked only while this host has yet to become a master, and the cluster answers."""

    @where_there_is_one
    @on_cluster
    def asked(_: ClusterFacts, facts: Facts) -> str | None:
        return gap(facts) if _joins(facts) else None

    return asked


def _speaker(facts: Facts) -> Facts:
    """The facts of the master whose word on the cluster counts."""
    return facts.everyone[facts.cluster.speaker] if facts.cluster else facts


# --- what only a person can change


def elsewhere(facts: Facts) -> str | None:
    found = _speaker(facts).etcd
    return f"etcd is at {found.servers}" if found.elsewhere else None


def keyless(names: Sequence[str]) -> Gap:
    def gap(facts: Facts) -> str | None:
        speaker = _speaker(facts)
        missing = [f"/etc/kubernetes/pki/{name}" for name in speaker.kubeadm.keys_missing]
        return f"{speaker.name} is without {', '.join(missing)}" if missing and not _giver(facts, names) else None

    return gap


def _giver(facts: Facts, names: Sequence[str]) -> str | None:
    """A master of this cluster that has all the keys: the speaker, if it has them."""
    ca = facts.cluster.ca if facts.cluster else ""
    ours = [one for one in _masters(facts, names) if one.local.control_plane and one.local.admin_ca == ca]
    whole = [one.name for one in ours if not one.kubeadm.keys_missing]
    speaker = _speaker(facts).name
    return speaker if speaker in whole else next(iter(whole), None)


def unstable(masters: Mapping[str, str]) -> Gap:
    """The endpoint must not lead to one master alone. `masters`: address -> name."""

    def gap(facts: Facts) -> str | None:
        kubeadm = _speaker(facts).kubeadm
        if kubeadm.configuration_missing:
            return "it has no ConfigMap kubeadm-config"
        told = kubeadm.configuration
        if not told:
            raise Silent("its ConfigMap kubeadm-config cannot be read")
        if not told.endpoint:
            return "it has no controlPlaneEndpoint"
        one = _master_at(told.endpoint, masters, facts)
        return f"controlPlaneEndpoint is {told.endpoint}, which is one master, {one}" if one else None

    return gap


def _master_at(endpoint: str, masters: Mapping[str, str], facts: Facts) -> str | None:
    """The master whose own address or name this is, by hosts.yml or by the machine's word."""
    place = (urlsplit(f"//{endpoint}").hostname or "").rstrip(".")
    if place.endswith(DOMAIN):
        return None
    for address, name in masters.items():
        own = [name, *(one.system.hostname for one in _masters(facts, [name]))]
        if place == address or any(_alike(place, one.lower()) for one in own):
            return name
    return None


def _alike(one: str, other: str) -> bool:
    """Whether these are the same name, from which either may omit the domain."""
    short = "." not in one or "." not in other
    return one.partition(".")[0] == other.partition(".")[0] if short else one == other


def one_for_all(facts: Facts) -> str | None:
    """The guide sets it for its one master. With several, the Service of all API servers would lead to that one."""
    told = _speaker(facts).kubeadm.configuration
    address = told.arguments.get("advertise-address") if told else None
    return f"kubeadm-config has advertise-address={address} for all of them" if address else None


def nameless(flagged: bool) -> Gap:
    """Its static pods would not start, and kubeadm would wait for them: see health.nameless.

    `flagged`: whether hosts.yml gives its kubelet another file by a flag, which counts more.
    """

    def gap(facts: Facts) -> str | None:
        told = _speaker(facts).kubeadm.kubelets
        if flagged or facts.local.resolver_flag or facts.local.resolved or not told:
            return None
        wanted = told.settings.get("resolvConf") == health.RESOLVED
        return f"it will be told to read {health.RESOLVED}, which is not there" if wanted else None

    return gap


def _resolver_told(cluster: Cluster, host: Host) -> bool:
    return any("--resolv-conf" in flags for flags in kubeadm.kubelet_flags(cluster.inventory, host.wanted))


def dead(masters: Mapping[str, str]) -> Gap:
    """A member that does not answer costs every join minutes, and the cluster its majority where one more follows.

    A member at the address of a host without a control plane, or with half of one, is passed over: that host's own
    join removes it. One that has only the name of a host is of an earlier machine; etcd lets no second of it join.
    """

    def gap(facts: Facts) -> str | None:
        told, lost = {one.name: one for one in _masters(facts, [*masters.values()])}, []
        answer = {one.etcd.member.id for one in told.values() if one.etcd.member}
        for member in _membership(facts):
            at = next((masters[place] for place in member.addresses if place in masters), "")
            if member.id in answer or (at in told and _to_join(told[at])):
                continue
            name = at or member.name or min(member.addresses, default="")
            lost.append(f"{_called(member)} gives no answer; is it gone for good? inv node.remove --host {name}")
        return "; ".join(lost) or None

    return gap


def _to_join(facts: Facts) -> bool:
    """Whether its member is of no use any more: nothing here could start it, or a join was broken off half way."""
    local = facts.local
    there = local.admin_ca or local.etcd_data or set(local.manifests) & set(MANIFESTS)
    return bool(local.master_begun) or not there


# --- what an earlier join, or an earlier machine, has left


def idle(facts: Facts) -> str | None:
    """The kubelet has to run: where its member has a vote already, the cluster may need that to remove the member."""
    state = facts.services.units.get("kubelet", Unit()).active
    return state if facts.local.master_begun and facts.local.etcd_data and state != "active" else None


def alone(facts: Facts) -> str | None:
    """Another master has to answer, since only that can remove this one's member."""
    speaks = facts.cluster and facts.cluster.speaker == facts.name
    return "no other master's API server answers" if facts.local.master_begun and speaks else None


def former(address: str) -> Callable[[Facts], Known | None]:
    """The member at this address, where the host has no use for it. Silent where etcd does not list its members."""

    def found(facts: Facts) -> Known | None:
        if not facts.cluster or facts.unfinished or not _to_join(facts):
            return None
        if facts.cluster.silent:
            raise Silent(facts.cluster.unheard)
        return next((one for one in _membership(facts) if address in one.addresses), None)

    return found


def needed(address: str, names: Sequence[str]) -> Gap:
    """More than half of the voters have to agree to a removal, and more than half of the rest have to answer."""

    def gap(facts: Facts) -> str | None:
        member = former(address)(facts)
        if not member or member.learner:
            return None
        voters = {one.id for one in _membership(facts) if not one.learner}
        well = {one.etcd.member.id for one in _masters(facts, names) if one.etcd.member} & voters
        rest = well - {member.id}
        enough = len(well) > len(voters) // 2 and len(rest) > (len(voters) - 1) // 2
        return None if enough else f"{len(rest)} of the {len(voters) - 1} others answer"

    return gap


def broken_off(facts: Facts) -> str | None:
    since = facts.local.master_begun
    return f"begun at {clock_time(since)} and not finished" if since else None


def addressed(addresses: Collection[str]) -> Gap:
    """A master's address in certSANs: kubeadm would write it into every later master's certificate for good."""

    def gap(facts: Facts) -> str | None:
        told = _speaker(facts).kubeadm.configuration
        found = [name for name in (told.sans if told else ()) if name in addresses]
        return f"certSANs has {', '.join(found)}" if found else None

    return gap


def _forget_addresses(cluster: Cluster, host: Host) -> None:
    told = _speaker(cluster.facts(host)).kubeadm.configuration
    assert told  # the gap has read it
    patch = yaml.safe_dump({"data": {"ClusterConfiguration": without(told.text, _addresses(cluster))}})
    words = ("patch", "configmap", "kubeadm-config", "--namespace", "kube-system", "--patch-file", "/dev/stdin")
    cluster.speaker.during(host.title).change("kubectl.sh", *words, payload=patch, about="kubeadm-config")


def without(configuration: str, addresses: Collection[str]) -> str:
    """This YAML without the lines of certSANs that name one of these; all else stays as it is."""
    kept, within = list[str](), False
    for line in configuration.splitlines(keepends=True):
        item = line.strip().removeprefix("- ").strip("\"'")
        within = line.strip() == "certSANs:" or (within and line.strip().startswith("- "))
        if not (within and item in addresses):
            kept.append(line)
    return "".join(kept)


# --- the join itself


def join(cluster: Cluster, host: Host) -> None:
    """The keys that all masters share are copied over SSH, which needs no Secret that expires, as kubeadm's does.

    The join's token is deleted by a step of its own, once the API server answers again.
    """

    def begin(discovery: str, document: str) -> None:
        giver = cluster.hosts[_giver(cluster.facts(host), cluster.master_names) or cluster.speaker.name]
        printed = giver.during(f"{host.name} may join").ask("print-keys.sh", secret=True)
        keys = [line for line in printed.splitlines() if line.partition(" ")[0] in SHARED]
        payload = "\n".join((worker.base64(discovery), worker.base64(document), *keys, ""))
        given = kubeadm.given(cluster.inventory)
        words = (worker.DISCOVERY, cluster.release.checks[1], str(_to_come(cluster) - 1))
        host.change("join-master.sh", *words, *given, payload=payload)

    worker.admitted(cluster, host, begin)


def up_to_date(names: Sequence[str], far: int = etcd.FAR) -> Step:
    return Step(
        "its member of etcd has a vote and all that the others have",
        behind(names, far),
        None,
        hint="see what etcd says: inv etcd.status",
        within=SECONDS,
        touches="masters",
        parts=("etcd",),
    )


def behind(names: Sequence[str], far: int) -> Gap:
    """Its member has a vote, and all entries that the others had when asked: else the next loss may be one too many.

    `far`: entries that it may lack. 0 is for a wait, which asks this host last; the next join is refused anyway where
    a member does not answer, be it the leader.
    """

    @where_there_is_one
    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        member = facts.etcd.member
        if _joins(facts) or facts.etcd.elsewhere:
            return None
        if not member:
            return f"its etcd gives no answer: {facts.etcd.etcd_silent}"
        if member.learner:
            return "it still learns"
        heard = [one.etcd.member for one in _masters(facts, names) if one.etcd.member]
        if not far and not member.leader:
            return "it has no leader"
        late = max((one.applied for one in heard), default=0) - member.applied
        return f"{late} {'entry' if late == 1 else 'entries'} behind" if late > far else None

    return gap


# --- once all masters are members


def settled(cluster: Cluster, host: Host) -> list[Step]:
    """No member may begin anew over an empty folder. A master that has yet to join is passed over.

    Where there is one master, the patches tell its etcd so when an upgrade makes its manifest anew: a restart just for
    this would be an outage of the API, after which controllers come back one after the other.
    """
    names = cluster.master_names
    if host.name not in names:
        return []
    patches = files("kubeadm's patches are there", render.patches())
    if len(names) == 1:
        return [patches]
    settle = Step(
        "etcd starts over its data alone",
        forgetful(names),
        script("settle-etcd.sh"),
        hint="see what it says: ls /var/log/containers/etcd*",
        within=SECONDS,
        touches="masters",
        parts=("etcd", "api"),
    )
    states = [patches, settle, up_to_date(names), health.api_server()]
    return [replace(one, gap=once_joined(one.gap), parts=("node", *(one.parts or ()))) for one in states]


def once_joined(gap: Gap) -> Gap:
    return lambda facts: None if _joins(facts) else gap(facts)


def forgetful(names: Sequence[str]) -> Gap:
    """No gap while a member is lost for good: this one is not begun anew then.

    Silent where a master's etcd only gives no answer now.
    """

    @where_there_is_one
    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        found, members = _over_nothing(facts.etcd), {one.id for one in facts.etcd.membership}
        if members and members <= {one.etcd.member.id for one in _masters(facts, names) if one.etcd.member}:
            return found if len(members) > 1 else None
        joined = [one for one in _masters(facts, names) if etcd.is_on(one) and not _joins(one)]
        silent = next((one for one in joined if not one.etcd.member), None)
        if found and silent:
            raise Silent(f"{silent.name}: its etcd gives no answer: {silent.etcd.etcd_silent}")
        return None

    return gap


def _over_nothing(told: Etcd) -> str | None:
    """Told exactly today's members, it would begin as the same member, having forgotten what it promised the others."""
    if told.cluster_state != "existing":
        return "over an empty folder it would make a cluster of its own"
    first = {one.partition("=")[2] for one in told.first_members}
    theirs = {peer for one in told.membership for peer in one.peers}
    return "over an empty folder it would begin anew as the same member" if first == theirs else None


def _addresses(cluster: Cluster) -> dict[str, str]:
    """Address -> name, of the masters."""
    return {str(one.wanted.address): one.name for one in cluster.masters}


# --- of facts


def _masters(facts: Facts, names: Sequence[str]) -> Iterator[Facts]:
    return (one for name, one in facts.everyone.items() if name in names)


def _membership(facts: Facts) -> tuple[Known, ...]:
    """The members as the speaker's etcd lists them. Silent where it does not."""
    found = _speaker(facts).etcd
    if not found.membership and not found.elsewhere:
        raise Silent(f"{_speaker(facts).name}: its etcd does not say who its members are: {found.etcd_silent}")
    return found.membership


def _called(member: Known | None) -> str | None:
    return f"{member.name or 'one that has never started'} ({', '.join(member.peers)})" if member else None


_ELSEWHERE = "kubefab adds masters only where etcd runs on them; join by hand what is to have no etcd"
_KEYS = "without them kubeadm can make no certificate for one more master: copy them there, from where they are kept"
_ENDPOINT = (
    "every node goes by it, and would lose all masters with that one; changing it is no task of kubefab's: "
    "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/high-availability/"
)
_ADVERTISED = (
    "kubeadm gives each master its own without it: take it out of hosts.yml, and of: "
    "kubectl -n kube-system edit configmap kubeadm-config"
)
