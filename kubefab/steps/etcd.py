"""A snapshot of etcd, with what no snapshot has: by way of one master, on this computer."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from kubefab import backup, carry, etcd
from kubefab.cluster import Cluster
from kubefab.errors import HostError
from kubefab.facts import Facts
from kubefab.facts.backups import NAME
from kubefab.host import Host
from kubefab.step import MISSING, Gap, Step, Subject, complaint

SAVE_SECONDS = 480  # less than carry waits for a first byte
ROOM = 2  # times the database's size, which grows meanwhile


class Backup(NamedTuple):
    """The host of whose member it is taken, the folder here that it gets, and the state that it is there."""

    source: str
    folder: Path
    subject: Subject


def backup_of(cluster: Cluster, masters: etcd.Masters, wrong: Sequence[str], below: Path | None = None) -> Backup:
    """A backup of the best member of these masters, in a folder of now, `below` this one or kubefab's own.

    KubefabError, with what is wrong, where no member answers.
    """
    now = datetime.now(UTC)
    folder = place(below or usual(cluster), cluster.inventory.cluster.name, now)
    return Backup(etcd.best(masters, wrong), folder, saved(folder, now, wrong))


def usual(cluster: Cluster) -> Path:
    """The folder of this computer that backups are in, where nobody names another one."""
    return cluster.log.path.parent / "backups"


def place(below: Path, cluster: str, time: datetime) -> Path:
    """The folder of this computer that a backup of this moment gets."""
    return below / f"{cluster}-{time:{NAME}}"


def saved(folder: Path, now: datetime, wrong: Sequence[str] = ()) -> Subject:
    """This folder of this computer has a backup of etcd, taken of this host's member in this run.

    The host was looked at with the part "etcd", and its member has answered. `wrong`: what etcd.problems found.
    """

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        return [
            complaint("there is room for a snapshot on the host", room_there, "make room below /var/lib"),
            complaint("there is room for it on this computer", room_here(folder), "--output may name another folder"),
            Step(
                f"a snapshot of etcd is in {folder}",
                lambda _: None if folder.exists() else MISSING,
                partial(_take, cluster, folder, now, wrong),
                hint="see how etcd is: inv etcd.status",
                warning="; ".join(wrong),
                parts=(),
            ),
        ]

    return steps


def take_out(host: Host, member: int) -> None:
    """Takes this member out of etcd, by way of the etcd of another host. HostError where it is one afterwards.

    etcd refuses it where those that are left would have no quorum.
    """
    id = f"{member:x}"
    host.change("remove-member.sh", id, about=f"member {id}")


def room_there(facts: Facts) -> str | None:
    return _room(facts.system.disk_mib << 20, facts)


def room_here(folder: Path) -> Gap:
    return lambda facts: _room(backup.room(folder), facts)


def _room(free: int, facts: Facts) -> str | None:
    size = facts.etcd.member.size if facts.etcd.member else 0
    short = free < ROOM * size
    return f"{free / 1e6:.0f} MB are free; allowed: {ROOM * size / 1e6:.0f} MB, twice its database" if short else None


def _take(cluster: Cluster, folder: Path, now: datetime, wrong: Sequence[str], host: Host) -> None:
    facts, heard = cluster.facts(host), list[str]()
    with backup.draft(folder) as draft:
        backup.put_all(draft, host.ask("print-keys.sh", secret=True))
        carry.fetch(host, "print-snapshot.sh", str(SAVE_SECONDS), to=draft / backup.SNAPSHOT, hear=heard.append)
        snapshot = measured(draft / backup.SNAPSHOT, "".join(heard))
        versions = {
            "kubernetes": (facts.cluster.version if facts.cluster else "") or None,
            "kubeadm": facts.packages.deb("kubeadm").version or None,
        }
        about = {**described(cluster, facts, now, snapshot), "problems": list(wrong), **versions}
        backup.finish(draft, about)
    cluster.log.write_line(f"{host.name}: {folder}: {json.dumps(snapshot)}\n")


def measured(file: Path, said: str) -> dict[str, Any]:
    """Of backup.json, what tells of the snapshot itself; `said`: by etcd's own tool. HostError where it is damaged."""
    return {"sha256": backup.check(file), "size": file.stat().st_size, **checked(said)}


def checked(said: str) -> dict[str, Any]:
    """What etcd's own tool found in the file. HostError where it is not understood."""
    line = next((line for line in said.splitlines() if line.startswith("checked ")), "")
    try:
        found = json.loads(line.removeprefix("checked "))
        return {"revision": int(found["revision"]), "keys": int(found["totalKey"]), "hash": int(found["hash"])}
    except (ValueError, LookupError, TypeError, RecursionError):
        raise HostError("etcd's own tool said of the snapshot what cannot be understood", line) from None


def described(cluster: Cluster, facts: Facts, now: datetime, snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Of backup.json, what tells whose snapshot it is: `facts` is the host, with what its member has said."""
    name = cluster.inventory.cluster.name
    return {
        "cluster": name,
        "time": now.isoformat(timespec="seconds"),
        "host": facts.name,
        "snapshot": snapshot,
        "members": etcd.as_data(name, {facts.name: facts}, ())["members"],
    }
