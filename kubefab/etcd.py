"""What the masters' members of etcd say together: who they are, what is wrong, and of whom to take a snapshot. Pure."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from kubefab.errors import KubefabError
from kubefab.facts import Facts, Known, Manifests, Member, System

DEFAULT_QUOTA = 2 << 30  # bytes: etcd's DefaultQuotaBytes, server/storage/quota.go
FULL = 0.8  # of its quota; with all of it used etcd refuses writes until somebody frees room by hand
FAR = 1000  # writes: members are looked at one by one, and a busy cluster does some hundreds in a second
NO_LEADER = "no leader"
NEVER = "its machine must never come up again with its etcd"  # of a master that hosts.yml has no more
ANEW = "inv node.remove --host {0}, then inv cluster.up"
IPV4 = re.compile(r"\d+(\.\d+){3}")
ALARM = re.compile(r"alarm:\s*(\w+)")
Masters = Mapping[str, Facts]  # the masters that were looked at, with the part "etcd", by their names
Away = Mapping[str, Collection[str]]  # masters that were not heard -> names and addresses of their members


def told(facts: Facts) -> Facts:
    """These facts, where all that this module asks of them is known. NotAsked where some could not be looked at."""
    _ = facts.etcd, facts.local
    return facts


def check_ours(masters: Masters, away: Sequence[str]) -> None:
    """KubefabError where there is no etcd that kubeadm has made; masters that are `away` may have one."""
    if elsewhere := {facts.etcd.servers for facts in masters.values() if facts.etcd.elsewhere}:
        raise KubefabError(_ELSEWHERE.format(", ".join(sorted(elsewhere))))
    if not away and not any(is_on(facts) for facts in masters.values()):
        raise KubefabError("there is no etcd here; `inv cluster.up` makes a cluster")


def is_on(facts: Facts) -> bool:
    """Whether there is an etcd of kubeadm's making on this host, or was."""
    return facts.etcd.etcd_runs or "etcd.yaml" in facts.local.manifests or facts.local.etcd_data


def heard(masters: Masters) -> dict[str, Member]:
    """The members that have answered, by the names of their hosts."""
    return {name: facts.etcd.member for name, facts in masters.items() if facts.etcd.member}


def known(masters: Masters) -> dict[int, Known]:
    """Every member that any of them knows, by id."""
    return {one.id: one for facts in masters.values() for one in facts.etcd.membership}


def best(masters: Masters, wrong: Sequence[str]) -> str:
    """The host whose member to take a snapshot of: the leader of most voters, else the one with most writes applied.

    A member that has begun anew leads only itself. Without a quorum there is no leader, and a snapshot of what is left
    is worth all the more. KubefabError, with what is wrong, where no member answers.
    """
    members = {name: member for name, member in heard(masters).items() if not member.learner}
    if not members:
        raise KubefabError("\n  ".join(("no member of etcd answers, so that no snapshot can be had:", *wrong)))
    followers = Counter((member.cluster, member.leader) for member in members.values())
    # Counted by name: a member that has begun anew under another id is still of the same master.
    voters = len({one.name or one.id for one in _voters(masters)})
    most = {name for name, one in members.items() if leads(one) and 2 * followers[one.cluster, one.id] > voters}
    return max(members, key=lambda name: (name in most, members[name].applied))


def leads(member: Member) -> bool:
    return member.leader == member.id


def problems(masters: Masters, away: Away = MappingProxyType({})) -> list[str]:
    """What is wrong, or was not heard, a line each: none where all members answer, have one leader, and room.

    Members of hosts that are `away` are left out: that these were not heard is told elsewhere.
    """
    return [*silent(masters), *_torn(masters), *_unknown(masters, away), *_of_each(masters)]


def lost_quorum(masters: Masters, away: Away, silent: bool, unseen: Collection[str] = ()) -> str | None:
    """How many members are missing where nobody leads, in words; None where somebody does, or no member answers.

    `away`: masters that do not answer. `silent`: no API server answers either; one that does proves that members that
    were not heard serve. A member that has lost the others believes in its leader for another second. `unseen`:
    masters that may serve, though they could not be looked at: they are not counted as missing.
    """
    doubtful = {name: away[name] for name in unseen if name in away}
    members = heard(masters)
    voters = _voters(masters)
    missing = [one for one in voters if one.id not in {member.id for member in members.values()}]
    follow = {member.id for member in members.values() if member.leader}
    few = 2 * len(missing) >= len(voters) > 0
    if not members or (missing and not silent) or (follow and not few):
        return None
    if doubtful and 2 * sum(one.id not in follow and not _is_away(one, doubtful) for one in voters) < len(voters):
        return None
    if not missing:
        return "etcd has no leader"
    one_is, some = len(missing) == 1, f"{len(missing)} of {len(voters)}"
    if all(_is_away(one, away) for one in missing):
        return f"{some} masters {'is' if one_is else 'are'} away"
    return f"{some} members of etcd {'does' if one_is else 'do'} not answer"


def even(masters: int) -> str:
    """Why an even number of masters is no better than one less; "" for an odd number."""
    less = masters - 1
    return "" if masters % 2 else f"{masters} masters bear the loss of {less // 2}, as {less} do: {_MAJORITY}"


def bears(masters: Masters, wanted: int) -> str:
    """How many members may be lost: where there are fewer voters than `wanted` masters, or an even number; else ""."""
    voters = len(_voters(masters))
    if not voters or voters == wanted or (voters > wanted and voters % 2):
        return even(wanted)
    members = f"{voters} member{'s' if voters > 1 else ''} with a vote"
    named = f"{wanted} master{'s' if wanted > 1 else ''}"
    return f"etcd has {members}, and hosts.yml names {named}: it bears the loss of {(voters - 1) // 2 or 'none'}"


def _voters(masters: Masters) -> list[Known]:
    return [one for one in known(masters).values() if not one.learner]


def needed(name: str, masters: Masters) -> str | None:
    """Why etcd, which has a quorum, would or might have none if this host's member fell silent and still counted."""
    led = [one for one, member in heard(masters).items() if member.leader and not member.learner]
    voters = _voters(masters)
    left, quorum = len(set(led) - {name}), len(voters) // 2 + 1
    if name in led and not voters:
        return _UNCOUNTED
    if name not in led or len(led) < quorum or left >= quorum or len(voters) == 1:
        return None
    return f"of etcd's {len(voters)} members {left} would answer, and it needs {quorum}"


def missed(name: str, masters: Masters) -> str | None:
    """The same for a member that is away only for a moment: where all voters answer, even two bear that."""
    voters = {one.id for one in _voters(masters)}
    return None if voters and voters <= {member.id for member in heard(masters).values()} else needed(name, masters)


def without_room(masters: Masters) -> str | None:
    """Why etcd takes nothing more though it answers."""
    full = [name for name, member in heard(masters).items() if "NOSPACE" in alarms(member)]
    return f"the etcd of {full[0]} has no room left" if full else None


def is_full(masters: Masters) -> bool:
    """Whether one of them has little room left, or none."""
    used = [share(masters[name], member.size) for name, member in heard(masters).items()]
    return bool(without_room(masters)) or max(used, default=0) >= FULL


def outsiders(masters: Masters) -> list[str]:
    """The hosts whose member can never rejoin: the others have removed it, or it is of another cluster."""
    members = heard(masters)
    clusters = Counter(member.cluster for member in members.values())
    few = {cluster for cluster, count in clusters.items() if 2 * count < len(members)}
    torn = [name for name, member in members.items() if member.cluster in few]
    return list(dict.fromkeys((*torn, *(name for name in masters if _removed(name, masters)))))


def in_a_word(facts: Facts) -> str:
    """What this host's member is."""
    if not (member := facts.etcd.member):
        return "silent" if facts.etcd.etcd_runs else "does not run"
    return "learner" if member.learner else "leader" if leads(member) else "follower" if member.leader else NO_LEADER


def silent(masters: Masters) -> list[str]:
    """Why etcd says nothing, a line for each master where it does not."""
    return [f"{name}: {_silence(name, masters)}" for name, facts in masters.items() if not facts.etcd.member]


def _silence(name: str, masters: Masters) -> str:
    """Removal is asked for first: a removed member learns it at its start and ends at once, as if it did not run."""
    facts = masters[name]
    if _removed(name, masters):
        return _REMOVED
    if _is_emptied(facts):
        return _EMPTIED + (_PUT_BACK if len(masters) == 1 else "")
    if facts.etcd.etcd_runs:
        return f"its etcd gives no answer: {facts.etcd.etcd_silent}"
    return "its etcd does not run" if is_on(facts) else "no etcd was made there"


def _is_emptied(facts: Facts) -> bool:
    """Whether its data are gone. The look knows only kubeadm's folder, so that nothing is said of another one."""
    told = facts.parts.get("manifests")
    manifest = told.now.get("etcd") if isinstance(told, Manifests) else None
    flags = manifest.settings if manifest else {}
    usual = flags.get("--data-dir") == "/var/lib/etcd" and "--wal-dir" not in flags
    return usual and not facts.local.etcd_log and not facts.local.half_made


def _torn(masters: Masters) -> Iterator[str]:
    """Told where members are of several clusters, or follow several leaders."""
    members = heard(masters)
    clusters = _by(members, {name: member.cluster for name, member in members.items()})
    if len(clusters) > 1:
        yield f"these are {len(clusters)} clusters of etcd, and not one: {_sides(clusters)}"
    leaders = _by(members, {name: member.leader for name, member in members.items() if member.leader})
    if len(leaders) > len(clusters):
        yield f"they follow different leaders: {_sides(leaders)}"


def _by(members: Mapping[str, Member], values: Mapping[str, int]) -> dict[int, list[str]]:
    """Value -> the hosts that say it."""
    return {value: [name for name in members if values.get(name) == value] for value in dict.fromkeys(values.values())}


def _sides(hosts: Mapping[int, Sequence[str]]) -> str:
    return "; ".join(f"{', '.join(names)}: {value:x}" for value, names in hosts.items())


def strangers(masters: Masters, away: Away) -> list[Known]:
    """Members of no master of ours. One that may be of a master that is `away` or silent is left out."""
    ids = {member.id for member in heard(masters).values()}
    mute = [name for name, facts in masters.items() if not facts.etcd.member]
    unheard = [one for one in known(masters).values() if one.id not in ids and not _is_away(one, away)]
    return [one for one in unheard if not any(_may_be_of(one, name, masters[name]) for name in mute)]


def _is_away(one: Known, away: Away) -> bool:
    return any({one.name, *one.addresses} & set(calls) for calls in away.values())


def _may_be_of(one: Known, name: str, facts: Facts) -> bool:
    """Whether this member may be the silent master's, by its machine's addresses, its name or its Node's name."""
    if one.addresses & _addresses(facts):
        return True
    return _is_named(one, name, facts) and not _is_elsewhere(one, facts)


def _is_named(one: Known, name: str, facts: Facts) -> bool:
    node = facts.node if _addresses(facts) else None
    return one.name in {name, node.name if node else name}


def _is_elsewhere(one: Known, facts: Facts) -> bool:
    """Whether this machine cannot have that member: no etcd is here, nor any of its addresses. Names prove nothing."""
    known = bool(one.addresses and _addresses(facts)) and all(map(IPV4.fullmatch, one.addresses))
    return known and not is_on(facts) and not one.addresses & _addresses(facts)


def earlier(one: Known, masters: Masters) -> str | None:
    """The silent master under whose name an earlier machine had this member, as far as can be known; else None."""
    named = (name for name, facts in masters.items() if not facts.etcd.member and _is_named(one, name, facts))
    return next((name for name in named if _is_elsewhere(one, masters[name])), None)


def _addresses(facts: Facts) -> set[str]:
    """The machine's own; none where they are not known."""
    told = facts.parts.get("system")
    return set(told.addresses) if isinstance(told, System) else set()


def _unknown(masters: Masters, away: Away) -> Iterator[str]:
    """Strangers, and masters that the others do not count as members."""
    for one in strangers(masters, away):
        name = earlier(one, masters)
        yield f"member {_called(one)} {_EARLIER.format(name) if name else _UNHEARD}"
    for name in heard(masters):
        if _removed(name, masters):
            yield f"{name}: {_REMOVED}"
        if not masters[name].etcd.membership:
            yield f"{name}: its etcd did not say which members there are"


def _removed(name: str, masters: Masters) -> bool:
    """Whether this host has an etcd, and the others of its cluster list the members without it."""
    mine = masters[name].etcd.member
    others = {other: facts for other, facts in masters.items() if other != name and _tells(facts, mine)}
    if not others or not is_on(masters[name]):
        return False
    return _is_out(mine, others) if mine else _is_gone(name, masters, others)


def _tells(facts: Facts, mine: Member | None) -> bool:
    """Whether this host's member has listed the members, and is of the same cluster as `mine`, if that is known."""
    member = facts.etcd.member
    return bool(member and facts.etcd.membership and (not mine or member.cluster == mine.cluster))


def _is_out(mine: Member, others: Masters) -> bool:
    """Believed where another has applied as much: a member that began anew under its former id names only itself."""
    return mine.id not in known(others) and any(one.applied >= mine.applied for one in heard(others).values())


def _is_gone(name: str, masters: Masters, others: Masters) -> bool:
    """Whether a silent one was removed: most masters say so, who are most of the members that they name.

    False while its machine's addresses are not known, or a member was added that has not started.
    """
    told = known(others)
    if 2 * len(others) <= max(len(masters), len(told)) or not _addresses(masters[name]):
        return False
    return all(one.name and not _may_be_of(one, name, masters[name]) for one in told.values())


def _called(one: Known) -> str:
    where = ", ".join(one.peers) or f"{one.id:x}"
    return f"{one.name} ({where})" if one.name else f"at {where}, which was added and has never started,"


def _of_each(masters: Masters) -> Iterator[str]:
    for name, member in heard(masters).items():
        if (behind := _lag(member, masters)) > FAR:
            yield f"{name}: its etcd has fallen behind the others by {behind} writes"
        if not member.leader:
            yield f"{name}: its etcd knows of no leader: nothing can be written by way of it"
        if member.learner:
            yield f"{name}: its member still learns, and has no vote yet"
        yield from (f"{name}: {error}" for error in member.errors if NO_LEADER not in error and not ALARM.search(error))
        for alarm in alarms(member):
            yield f"{name}: alarm {alarm}: {_ALARMS.get(alarm, 'see etcdctl alarm list')}"
        if (used := share(masters[name], member.size)) >= FULL:
            yield f"{name}: its database takes {used:.0%} of the {_size(quota(masters[name]))} that it may: {_COMPACT}"


def _lag(member: Member, masters: Masters) -> int:
    """How many writes it is behind the furthest member of its cluster."""
    return max(one.applied for one in heard(masters).values() if one.cluster == member.cluster) - member.applied


def alarms(member: Member) -> list[str]:
    """Names of alarms. Each member tells of those of all members."""
    return list(dict.fromkeys(name for error in member.errors for name in ALARM.findall(error)))


def without_vote(name: str, masters: Masters) -> str | None:
    """Why this host's member cannot take another one's place yet; None where it can."""
    if not (member := heard(masters).get(name)):
        return in_a_word(masters[name])
    if not member.leader:
        return NO_LEADER
    late = _lag(member, masters)
    return f"{late} writes behind" if late > FAR else None


def next_to_rest(names: Collection[str], masters: Masters) -> str:
    """Which of these members may fall silent next: the leader last, so that a new one is elected only once."""
    members = heard(masters)
    return min(names, key=lambda name: (name in members and leads(members[name]), name))


def quota(facts: Facts) -> int:
    """Bytes that its database may have: by its own word, its arguments, or etcd's default. Below 0: any number."""
    member = facts.etcd.member
    return (member.quota if member else 0) or facts.etcd.quota or DEFAULT_QUOTA


def share(facts: Facts, size: int) -> float:
    """How much of its quota these bytes are."""
    return max(size / quota(facts), 0)


def as_data(cluster: str, masters: Masters, wrong: Sequence[str]) -> dict[str, Any]:
    """All of it as plain data; ids in hexadecimal, as etcd's own tools write them. What was not heard is null."""
    return {
        "cluster": cluster,
        "healthy": not wrong,
        "problems": list(wrong),
        "members": members_as_data(masters),
    }


def members_as_data(masters: Masters) -> list[dict[str, Any]]:
    hosts = {member.id: name for name, member in heard(masters).items()}
    members = known(masters)
    names = {id: members[id].name if id in members else hosts[id] for id in (*members, *hosts)}
    return [_as_data(id, hosts.get(id), masters) for id in sorted(names, key=lambda id: names[id])]


def _as_data(id: int, host: str | None, masters: Masters) -> dict[str, Any]:
    one = known(masters).get(id)
    said = heard(masters)[host] if host else None
    return {
        "id": f"{id:x}",
        "name": one.name if one else None,
        "peers": one.peers if one else None,
        "host": host,
        "leader": leads(said) if said else None,
        "follows": f"{said.leader:x}" if said and said.leader else None,
        "learner": said.learner if said else one.learner if one else None,
        "cluster_id": f"{said.cluster:x}" if said else None,
        "version": said.version if said else None,
        "revision": said.revision if said else None,
        "applied": said.applied if said else None,
        "size": said.size if said else None,
        "used": (said.used or None) if said else None,
        "quota": quota(masters[host]) if host else None,
        "alarms": alarms(said) if said else None,
    }


def rows(data: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The members for people, with HEAD above them; `?` for what was not heard."""
    return [tuple(map(_cell, (*_who(one), *_what(one)))) for one in data["members"]]


HEAD = ("member", "host", "is", "etcd", "revision", "size", "of quota", "alarms", "cluster id")


def _who(one: Mapping[str, Any]) -> tuple[Any, ...]:
    does = "leader" if one["leader"] else "follower" if one["follows"] else NO_LEADER
    return (one["name"] or one["id"], one["host"], "learner" if one["learner"] else does if one["host"] else None)


def _what(one: Mapping[str, Any]) -> tuple[Any, ...]:
    if not one["host"]:
        return (None,) * 6
    used = f"{one['size'] / one['quota']:.0%}" if one["quota"] > 0 else "no quota"
    return (
        one["version"],
        one["revision"],
        _size(one["size"]),
        used,
        ", ".join(one["alarms"]) or "none",
        one["cluster_id"],
    )


def _cell(value: Any) -> str:
    return "?" if value is None else str(value)


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


_EMPTIED = "its etcd has lost its data: there is no log of it in member/wal of what its pod has as /var/lib/etcd"
_PUT_BACK = "; mount or put back what was there, or bring back a backup: inv etcd.restore --from FOLDER"
_UNCOUNTED = "etcd does not say who its members are, of which more than half have to answer"
_UNHEARD = "was not heard: no master that answers has it"
_EARLIER = f"is of an earlier {{0}}, at another address: {ANEW}"
_REMOVED = "its etcd was removed: the others count its member no more"
_MAJORITY = "etcd needs more than half of them"
_ALARMS = {
    "NOSPACE": "its database has outgrown its quota, and nothing is written any more",
    "CORRUPT": "its data are not those of the others",
}
_COMPACT = "inv etcd.defragment gives back what nobody uses of it"
_ELSEWHERE = (
    "this cluster's etcd is not of kubeadm's making ({}): kubefab knows neither its hosts nor its certificates; "
    "use what you look after it with"
)
