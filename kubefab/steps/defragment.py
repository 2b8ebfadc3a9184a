"""A member's database without the room that nobody uses, which etcd gives back only where it is told to."""

from kubefab import etcd
from kubefab.cluster import Cluster
from kubefab.errors import NotAsked, Silent
from kubefab.facts import Facts, Member
from kubefab.host import Host
from kubefab.step import Step, complaint, script

SLACK = 2 << 20  # bytes: a busy etcd frees as much in a moment, and uses it again
ROUGHLY = 10  # of what is used: it is as much as a tenth of that
AFTER_SECONDS = 120


def defragmented(cluster: Cluster, host: Host) -> list[Step]:
    """While it does this it answers nobody: its host is one of several, or nothing is read and written meanwhile."""

    def compact(host: Host) -> None:
        member = _member(cluster.facts(host))
        host.change("compact-etcd.sh", f"{member.revision}", about="etcd's history")

    return [
        complaint("no member's data are others than its peers'", corrupt, _CORRUPT),
        complaint("etcd has a leader", leaderless, "start the masters that do not answer: inv etcd.status"),
        complaint("there is room for its database once more", without_room, "make room in the folder of etcd's data"),
        Step(
            "what etcd keeps is less than it may",
            overfull,
            compact,
            hint=_FULL,
            within=60,
            parts=("etcd",),
            anew=True,
        ),
        Step(
            "its database has no room that nobody uses",
            holes,
            script("defragment-etcd.sh"),
            hint="see how etcd is: inv etcd.status",
            parts=("etcd",),
            anew=True,
        ),
        Step(
            "its member has what the others have",
            behind,
            None,
            hint="see how etcd is: inv etcd.status",
            within=AFTER_SECONDS,
            touches="masters",
            parts=("etcd",),
            anew=True,
        ),
    ]


def disarmed(_: Cluster, __: Host) -> list[Step]:
    """Asked once every member has room: the alarm is of all, and would be there again with the next write."""
    return [
        Step(
            "etcd takes writes",
            alarmed,
            script("disarm-etcd.sh"),
            within=10,
            touches="masters",
            parts=("etcd",),
            anew=True,
        )
    ]


def corrupt(facts: Facts) -> str | None:
    return "alarm CORRUPT" if "CORRUPT" in etcd.alarms(_member(facts)) else None


def leaderless(facts: Facts) -> str | None:
    member = facts.etcd.member
    return None if member and member.leader else etcd.in_a_word(facts)


def without_room(facts: Facts) -> str | None:
    """etcd writes what it uses into a second file, which then takes the place of the first."""
    free, used = facts.restore.free_mib << 20, _member(facts).used
    return f"{free / 1e6:.0f} MB are free; wanted: {used / 1e6:.0f} MB" if free < used else None


def overfull(facts: Facts) -> str | None:
    """An API server compacts every five minutes, and notes that it has: which etcd refuses where it has no room."""
    kept = etcd.share(facts, _member(facts).used)
    return f"it keeps {kept:.0%} of it" if alarmed(facts) and kept >= etcd.FULL else None


def holes(facts: Facts) -> str | None:
    member = _member(facts)
    if not member.used:
        raise NotAsked("its etcd does not say how much of its database it uses", host=facts.name)
    free = member.size - member.used
    much = free > max(SLACK, member.used // ROUGHLY)
    return f"{free / 1e6:.1f} MB of {member.size / 1e6:.1f} MB" if much else None


def behind(facts: Facts) -> str | None:
    """Whether another one may rest now."""
    _member(facts)
    return etcd.without_vote(facts.name, {name: one for name, one in facts.everyone.items() if "etcd" in one.parts})


def alarmed(facts: Facts) -> str | None:
    return "alarm NOSPACE" if "NOSPACE" in etcd.alarms(_member(facts)) else None


def _member(facts: Facts) -> Member:
    """Silent where it does not answer: nothing may be concluded from that."""
    if not facts.etcd.member:
        raise Silent(f"its etcd gives no answer: {facts.etcd.etcd_silent or etcd.in_a_word(facts)}", host=facts.name)
    return facts.etcd.member


_CORRUPT = (
    "nothing was changed, since kubefab would silence that alarm too; see which member it is, and take it out: "
    "https://etcd.io/docs/v3.6/op-guide/data_corruption/"
)
_FULL = (
    "it is no history that fills it: delete what does (kubectl delete needs no room), then run the same command again"
)
