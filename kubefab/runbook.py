"""What the tasks of the runbook do, and how they talk with people."""

import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from os.path import expanduser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from invoke import Context, Exit

from kubefab import backup, etcd, report, status
from kubefab.addons import Addon
from kubefab.addons.addon import ADMIN, Page
from kubefab.converge import Engine, Stop
from kubefab.disk import sha256
from kubefab.errors import HostError, KubefabError, NotAsked
from kubefab.executor import engine_of
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.passes import ALL_AT_ONCE, IN_TURN, ONE_BY_ONE, Group, Pass, Who
from kubefab.patience import SHORT, USUAL
from kubefab.step import Step, Subject
from kubefab.steps.backups import fetched
from kubefab.steps.defragment import defragmented, disarmed
from kubefab.steps.etcd import backup_of, place, usual
from kubefab.steps.masters import counted

if TYPE_CHECKING:
    from kubefab.images import Addons


class Port(int):
    """Read with the command line itself, so that a wrong one is told before anything is deployed."""

    def __new__(cls, port: str | int) -> "Port":
        if str(port) not in map(str, range(65536)):
            raise Exit(f"--port: found {port!r}; allowed: a number from 0 to 65535", code=1)
        return super().__new__(cls, port)


ANY_PORT = Port(0)


def converge(c: Context, who: Who, *subjects: Subject, how: Pass = ALL_AT_ONCE) -> None:
    """Brings hosts to the states of these subjects: see Engine.converge."""
    engine_of(c).converge(who, *subjects, how=how)


def meant(host: str | None, unnamed: Group) -> Who:
    """The host that was named; these only for None. An empty name, as of a variable that is not set, is no None."""
    return unnamed if host is None else host


def admit(c: Context, shown: Callable[[Inventory], Addon], hold: bool, port: int) -> None:
    """Lets somebody into a dashboard: a token for a terminal, and a tunnel for as long as it is wanted."""
    run = engine_of(c)
    page = shown(run.cluster.inventory).page
    if run.dry or page is None:
        return
    run.let_go()
    master = run.cluster.speaker
    if not run.cluster.release.mints_logins:
        print(_LOGIN_BY_HAND.format(page.namespace, ADMIN))
    elif sys.stdout.isatty():
        token = master.ask("mint-login.sh", page.namespace, ADMIN, secret=True).strip()
        print(f"log in with this token (cluster admin, valid for one hour):\n{token}")
    else:
        print("the login token is printed only to a terminal")
    if hold:
        _hold(master, page, port)


def _hold(master: Host, page: Page, port: int) -> None:
    from kubefab import tunnel

    words = ("get", "service", page.service, "--namespace", page.namespace, "--output", "jsonpath={.spec.clusterIP}")
    address = master.ask("kubectl.sh", *words).strip()
    if refusal := tunnel.refusal(master.link, (address, page.port)):
        raise KubefabError(f"{master.name}: no way to the dashboard: {refusal}")
    with tunnel.held(master.link, (address, page.port), port) as local, suppress(KeyboardInterrupt):
        print(f"{page.scheme}://localhost:{local}/ until Ctrl-C", flush=True)
        threading.Event().wait()


def _away(run: Engine, who: Who, *parts: str) -> list[str]:
    """Looks at these hosts; a line for each that does not answer, with the reason."""
    with run.only_looking():
        run.look(who, *parts)
        return list(map(str, run.failures))


LISTED = ("addons", "ceph")  # the parts for which an API server is asked apart from whether it answers


def show_status(c: Context, *health: Subject, drift: Sequence[Subject] = (), as_json: bool) -> None:
    """The nodes and what is wrong with them. Exit with 1 where anything is, and with 2 where nothing can be written.

    `drift`: what is told but not called wrong, as how many settings are not as hosts.yml says.
    """
    run = engine_of(c)
    with run.only_looking(SHORT):
        found = _found(run, health, drift)
    told = status.status(found)
    data = status.as_data(told)
    print(report.as_json(data) if as_json else report.painted(report.status(data), sys.stdout))
    if told.state is not status.State.WELL:
        raise Exit(code=told.state.value)


def _found(run: Engine, health: Sequence[Subject], drift: Sequence[Subject]) -> status.Found:
    """One look at every host; and at etcd: an API server reads on from one that has no room left."""
    cluster, hosts = run.cluster, run.look(Group.ALL, "certificates")
    live = cluster.facts(cluster.speaker).cluster
    if live:
        run.look(Group.MASTERS, "etcd")
    gaps = _gaps(run, hosts, health, bool(live and not live.silent))
    away = {failure.host: failure.what for failure in run.failures}
    unseen = [failure.host for failure in run.failures if failure.error.may_be_on]
    facts = {host.name: cluster.facts(host) for host in hosts if host.name not in away}
    wrong = {(host, step.title) for host, step, _ in gaps}
    besides = [gap for gap in run.gaps(hosts, *drift, silence=True) if (gap[0], gap[1].title) not in wrong]
    return status.Found(cluster.inventory, live, facts, away, gaps, datetime.now(UTC), besides, unseen)


def _gaps(run: Engine, hosts: list[Host], health: Sequence[Subject], answers: bool) -> list[tuple[str, Step, str]]:
    """What an API server that answers has not listed in time is asked for once more, with time, and then not known."""
    gaps = run.gaps(hosts, *health)
    if not answers or len(run.gaps(hosts, *health, silence=True)) == len(gaps):
        return gaps
    speaker = run.cluster.speaker
    there = tuple(part for part in LISTED if part in run.cluster.facts(speaker).parts)
    with run.cluster.asked_with(USUAL), suppress(HostError):
        run.cluster.look(speaker, there)
    return run.gaps(hosts, *health, silence=True)


def show_explained(c: Context, as_json: bool) -> None:
    """What the running cluster is made of, by one look at its master."""
    from kubefab import explain  # nobody else reads certificates

    run = engine_of(c)
    facts = of_master(run, _NOTHING_TO_EXPLAIN, "explain")
    told = explain.explained(facts, datetime.now(UTC))
    name = run.cluster.inventory.cluster.name
    print(report.as_json({"cluster": name, **told}) if as_json else report.plain(explain.as_tree(name, told)))


def of_master(run: Engine, without_cluster: str, *parts: str) -> Facts:
    """What the master knows of its cluster. KubefabError where it does not answer, or has none."""
    away = _away(run, Group.SPEAKER, *parts)
    if not run.cluster.looked_at(run.cluster.speaker):
        raise KubefabError("\n".join(away))
    facts = run.cluster.facts(run.cluster.speaker)
    if not facts.cluster:
        raise KubefabError("\n".join(away) or without_cluster)
    return facts


def show_etcd(c: Context, as_json: bool) -> None:
    """Each member of etcd, by its own word. Exit with 1 where anything is wrong, or was not heard."""
    run = engine_of(c)
    masters, wrong = _etcd(run)
    data = etcd.as_data(run.cluster.inventory.cluster.name, masters, wrong)
    words = "etcd is well", "etcd is not well:"
    print(report.as_json(data) if as_json else report.judged(data, etcd.HEAD, etcd.rows(data), *words))
    if wrong:
        raise Exit(code=1)


def show_certificates(c: Context, as_json: bool) -> None:
    """The certificates of all hosts. Exit with 1 where one ends within 30 days, or anything is not known."""
    from kubefab import certificates  # nobody else reads them but explain

    run, now = engine_of(c), datetime.now(UTC)
    with run.only_looking():
        hosts = run.look(Group.ALL, "certificates", "kubeadm")
        away = list(map(str, run.failures))
    told = [run.cluster.facts(host) for host in hosts]
    found, wrong = certificates.of_all(told, now, certificates.validity(run.cluster.inventory, told))
    if not (found or away):
        raise KubefabError("\n".join(wrong) or _NO_CERTIFICATES)
    data = certificates.as_data(run.cluster.inventory.cluster.name, found, [*away, *wrong], now)
    words = "all certificates are well", "certificates are not well:"
    print(report.as_json(data) if as_json else report.judged(data, certificates.HEAD, certificates.rows(data), *words))
    if data["problems"]:
        raise Exit(code=1)


def back_up(c: Context, output: str | None) -> None:
    """A snapshot of etcd in a new folder below this one, with the keys and configuration of its control plane."""
    run, below = engine_of(c), _below(output)
    _save(run, *_etcd(run), below)


def save_before_growing(c: Context, host: str | None = None) -> None:
    """A backup of etcd before the second master joins: of two members none may be lost. Without etcd, nothing.

    `host`: the only one that joins; None for all. Stop where a backup is or may be needed, and cannot be had.
    """
    run = engine_of(c)
    if len(run.cluster.masters) == 1 or (host and run.cluster.require(host).wanted.role != "master"):
        return
    failed = len(run.failures)
    for name in _with_etcd(run):
        run.converge(name, counted(run.dry))
    there = _with_etcd(run)
    if len(etcd.known(there)) == 1 and not run.failures[failed:]:
        _save(run, there, etcd.problems(there), None)
    if run.failures[failed:]:
        raise Stop(_UNSAVED)


def _with_etcd(run: Engine) -> dict[str, Facts]:
    """The masters that are known to have an etcd."""
    looked = {host.name: run.cluster.facts(host) for host in run.cluster.masters if run.cluster.looked_at(host)}
    return {name: facts for name, facts in looked.items() if etcd.is_on(facts)}


def _save(run: Engine, masters: etcd.Masters, wrong: Sequence[str], below: Path | None) -> None:
    made = backup_of(run.cluster, masters, wrong, below)
    run.converge(made.source, made.subject)
    if made.folder.exists():
        print(report.plain(backup.told(made.folder)))


def fetch_backups(c: Context, output: str | None) -> None:
    """The backups that the masters have made by themselves, below this folder. KubefabError where there is none."""
    run = engine_of(c)
    below = _below(output) or usual(run.cluster)
    masters = [run.cluster.facts(host) for host in run.look(Group.MASTERS)]
    name = run.cluster.inventory.cluster.name
    folders = {place(below, name, time) for facts in masters for time in facts.backups.backups}
    if not folders and not run.failures:
        raise KubefabError(_NO_BACKUPS)
    missing = [folder for folder in sorted(folders) if not folder.exists()]
    run.converge(Group.MASTERS, fetched(below), how=ONE_BY_ONE)
    if here := [folder for folder in missing if folder.exists()]:
        print(report.plain(backup.told(*here)))


def _below(output: str | None) -> Path | None:
    if output == "":  # of a variable that is not set, say: all Secrets would be in whatever folder somebody is
        raise KubefabError("--output: found ''; write a folder's name, or leave it out")
    return None if output is None else Path(expanduser(output)).absolute()


def defragment(c: Context) -> None:
    """Each member that answers gives room back, one at a time, the leader last; then etcd takes writes again.

    KubefabError where one did not answer, after all others were done.
    """
    run = engine_of(c)
    masters, wrong = _etcd(run)
    heard = {name for name, member in etcd.heard(masters).items() if not member.learner}
    left, name = set(heard), ""
    while left and not run.failures:
        run.look_again([run.cluster.hosts[one] for one in left], "etcd", "restore")  # who leads may have changed
        name = etcd.next_to_rest(left, {one: run.cluster.facts(run.cluster.hosts[one]) for one in left})
        run.converge(name, defragmented, how=IN_TURN)
        left.remove(name)
    run.stop_where_failed("no other member is begun after it")
    if name:
        run.converge(name, disarmed, how=IN_TURN)
    away = [name for name in run.cluster.master_names if name not in heard]
    calls = {one.name: (one.name, str(one.wanted.address)) for one in run.cluster.masters if one.name not in masters}
    away += [member.name or f"{member.id:x}" for member in etcd.strangers(masters, calls)]
    if away:
        raise KubefabError("\n  ".join((_UNDONE.format(", ".join(away)), *wrong)))


def with_the_others(c: Context, host: str) -> Who:
    """All masters where this host is one, since one more changes something on the others. Else the host alone."""
    return Group.MASTERS if engine_of(c).cluster.require(host).wanted.role == "master" else host


def _etcd(run: Engine) -> tuple[dict[str, Facts], list[str]]:
    """The masters that answer, with their members; and what is wrong. KubefabError where there is none of ours."""
    wrong = _away(run, Group.MASTERS, "etcd")
    masters = {}
    for host in filter(run.cluster.looked_at, run.cluster.masters):
        try:
            masters[host.name] = etcd.told(run.cluster.facts(host))
        except NotAsked as error:
            wrong.append(f"{host.name}: {error}")
    etcd.check_ours(masters, wrong)
    return masters, [*wrong, *etcd.problems(masters)]


def list_images(c: Context, addons: "Addons") -> None:
    """The images that a cluster of this hosts.yml needs."""
    print("\n".join(_needed(engine_of(c), addons)))


def preload(c: Context, who: Sequence[str], addons: "Addons", image: str | None, file: str | None) -> None:
    """Images onto hosts: all that a cluster needs, one, or those in a file of this computer."""
    from kubefab import images
    from kubefab.steps.images import from_file, given

    if image is not None and file is not None:
        raise KubefabError("use --image or --from, not both")
    if "" in (image, file):
        raise KubefabError("--image and --from want a name; without them all images of the cluster are copied")
    run = engine_of(c)
    for named in who:
        run.cluster.require(named)  # before anybody is asked for anything
    with TemporaryDirectory(prefix="kubefab-") as folder:
        if file:
            path = Path(expanduser(file))
            names, built = images.inside(path)
            subject = from_file(path, names, sha256(path), built)
        else:
            wanted = [images.full_name(image)] if image else _needed(run, addons)
            subject = given(images.Stock(run.cluster, Path(folder)), wanted, by_name=bool(image))
        for name in who or (Group.ALL,):
            run.converge(name, subject)


def _needed(run: Engine, addons: "Addons") -> list[str]:
    from kubefab import images

    away = _away(run, Group.ALL)
    try:
        return images.needed(run.cluster, addons)
    except KubefabError as error:
        raise KubefabError("\n".join((str(error), *away))) from None


_LOGIN_BY_HAND = (
    "this Kubernetes cannot issue a one-hour token; for a permanent one, on the master: "
    "kubectl -n {} describe secret {}"
)
_NO_BACKUPS = (
    "no master has made a backup by itself: `etcd: {backup: {every: 6h}}` in hosts.yml, then `inv cluster.up`, has "
    "them do so; `inv etcd.backup` makes one now"
)
_UNDONE = "not done: the etcd of {} does not answer, or has no vote; run the same command again once it does"
_UNSAVED = "no master joins without a backup of etcd before the second one, or the word that others are members already"
_NO_CERTIFICATES = "there is no cluster, and no certificate; `inv cluster.up` makes one"
_NOTHING_TO_EXPLAIN = "there is no cluster to explain; `inv cluster.up` makes one"
