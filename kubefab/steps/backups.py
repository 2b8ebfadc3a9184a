"""Backups of etcd that the masters make by themselves, and their way to this computer."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

from kubefab import backup, carry, render
from kubefab.cluster import Cluster
from kubefab.facts import Facts, parse
from kubefab.facts.backups import NAME
from kubefab.host import Host
from kubefab.schedule import TIMER
from kubefab.step import MISSING, Gap, Step, Subject, complaint, files, script, service, when
from kubefab.steps.etcd import described, measured, place


def steps(cluster: Cluster, host: Host) -> list[Step]:
    """A timer, where hosts.yml wants backups; and none of kubefab's where it does not. The backups stay."""
    schedule = cluster.inventory.backup
    if host.wanted.role != "master":
        return []
    if not schedule:
        return [unscheduled()]
    return [
        files(f"a timer backs etcd up every {schedule.every}", render.backups(schedule)),
        service(TIMER, reads=(render.BACKUP_TIMER, render.BACKUP_SERVICE)),
    ]


def unscheduled() -> Step:
    parts = ("backups", "files", "services")
    return Step("no timer of kubefab's is left", timer, script("unschedule-backups.sh"), parts=parts)


def timer(facts: Facts) -> str | None:
    return ", ".join(facts.backups.timer_files) or None


# --- their way to this computer


def fetched(below: Path) -> Subject:
    """All that this master has made, each as a folder that etcd.restore takes, as those of etcd.backup are.

    The newest first: one that is damaged ends what is done with its host.
    """

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        found = cluster.facts(host).backups.backups if host.wanted.role == "master" else {}
        name = cluster.inventory.cluster.name
        folders = {time: place(below, name, time) for time in sorted(found, reverse=True)}
        sizes = {folder: found[time] for time, folder in folders.items()}
        title = "there is room for them on this computer"
        room = complaint(title, without_room(below, sizes), "--output may name another folder")
        return [*when(folders, room), *(_one(cluster, time, folder) for time, folder in folders.items())]

    return steps


def _one(cluster: Cluster, time: datetime, folder: Path) -> Step:
    return Step(
        f"the backup of {time:%Y-%m-%d %H:%M:%S} UTC is in {folder}",
        lambda _: None if folder.exists() else MISSING,
        partial(_fetch, cluster, time, folder),
        hint="a master that makes another one meanwhile may have let it go: run the same command again",
        parts=(),
    )


def without_room(below: Path, sizes: Mapping[Path, int]) -> Gap:
    def gap(_: Facts) -> str | None:
        free, wanted = backup.room(below), sum(size for folder, size in sizes.items() if not folder.exists())
        return f"{free / 1e6:.0f} MB are free; wanted: {wanted / 1e6:.0f} MB" if free < wanted else None

    return gap


def _fetch(cluster: Cluster, time: datetime, folder: Path, host: Host) -> None:
    name = f"{time:{NAME}}"
    with backup.draft(folder) as draft:
        backup.put_all(draft, host.ask("print-backup.sh", name, "keys", secret=True))
        about = host.ask("print-backup.sh", name, "about")
        carry.fetch(host, "print-backup.sh", name, backup.SNAPSHOT, to=draft / backup.SNAPSHOT)
        snapshot = measured(draft / backup.SNAPSHOT, about)
        told = Facts(host.name, parse({"etcd": about}))
        versions = {word: _said(about, word) for word in ("kubernetes", "kubeadm")}
        backup.finish(draft, {**described(cluster, told, time, snapshot), "problems": [], **versions})


def _said(about: str, name: str) -> str | None:
    lines = [line.partition(" ") for line in about.splitlines()]
    return next((rest for word, _, rest in lines if word == name and rest), None)
