"""Who gets in: kubeconfigs for kubectl on this computer."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os.path import expanduser
from pathlib import Path
from shlex import quote

from invoke import Context, Exit

from kubefab import kubeconfig, merging, report
from kubefab.cluster import Cluster
from kubefab.converge import Engine
from kubefab.errors import KubefabError
from kubefab.executor import engine_of
from kubefab.inventory import Inventory
from kubefab.kubeadm import API_PORT
from kubefab.merging import Access, Change, Place
from kubefab.runbook import of_master

SHORTEST, LONGEST = 600, 2**31 - 1  # seconds; the API server takes no request for less, and keeps 32 bits of it
_UNITS = {"m": 60, "h": 3600, "d": 24 * 3600}


class Ttl(int):
    """Seconds, from "90m", "24h", "7d". Read with the command line itself, so that a wrong one is told at once.

    `typed`: whether a person has said so.
    """

    typed: bool

    def __new__(cls, text: "str | int") -> "Ttl":
        seconds = text if isinstance(text, int) else _seconds(text)
        if not SHORTEST <= seconds <= LONGEST:
            raise Exit(f"--ttl: found {text!r}; allowed: 10m or longer, as 90m, 24h or 7d", code=1)
        found = super().__new__(cls, seconds)
        found.typed = isinstance(text, str)
        return found


def _seconds(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    well = number.isascii() and number.isdigit() and len(number) < 10 and unit in _UNITS
    return int(number) * _UNITS[unit] if well else 0


A_DAY = Ttl(_UNITS["d"])


@dataclass(frozen=True)
class Wish:
    """What is asked for: by `output` a file of its own, else in the person's own kubeconfig."""

    output: str | None = None
    force: bool = False
    use: bool = False
    remove: bool = False
    user: str | None = None  # not the admin
    groups: Sequence[str] = ()
    ttl: Ttl = A_DAY


def give(c: Context, wish: Wish) -> None:
    """Lets kubectl on this computer, or somebody, into the cluster; or takes out what once let it in."""
    run = engine_of(c)
    _check(wish)
    if wish.remove:
        _take_out(run, wish)
        return
    of_master(run, _NO_CLUSTER)
    if run.dry:
        print(report.plain(_would(wish)))
    elif wish.user is not None:
        _give_user(run, wish, wish.user)
    elif wish.output is None:
        _merge(_access(run.cluster, *kubeconfig.inside(_admin(run))), wish)
    else:
        _save(run, wish.output, wish.force)


def follow(run: Engine) -> None:
    """The admin's credentials on this computer are the master's of now, where kubefab has put them there."""
    paths = kubeconfig.files()
    if not any(path.exists() for path in paths):
        return
    access = _access(run.cluster, *kubeconfig.inside(_admin(run)))
    change, kept = _changed(paths, lambda texts: merging.renew(texts, access))
    if change.texts:
        lines = [f"renewed in {', '.join(map(str, change.texts))}: the admin's certificate of {access.cluster}"]
        print(report.plain("\n".join([*lines, *(f"kept as it was, with its comments: {path}" for path in kept)])))


def _check(wish: Wish) -> None:
    """Before anybody is asked for anything."""
    if wish.output is not None and (wish.remove or wish.use):
        raise KubefabError("--output writes a file of its own: --use and --remove are for your own kubeconfig")
    if wish.remove and wish.use:
        raise KubefabError("use --remove or --use, not both")
    if wish.user is None and (wish.groups or wish.ttl.typed):
        raise KubefabError("--group and --ttl are for --user NAME: the admin's certificate ends when its master's does")
    if wish.user is not None:
        from kubefab import users

        users.check(wish.user, wish.groups)


def _would(wish: Wish) -> str:
    what = "the admin's key" if wish.user is None else f"a new key of {wish.user}"
    own = kubeconfig.home(kubeconfig.files())
    return f"would write {what} into {own if wish.output is None else Path(expanduser(wish.output))}"


def _save(run: Engine, output: str, force: bool) -> None:
    path = Path(expanduser(output))
    text = _admin(run)
    access = _access(run.cluster, "", {})
    servers = [place.server for place in (access.places[""], *access.answering)]
    if not _does(kubeconfig.private(path), text, servers):
        _write(kubeconfig.reachable_at(text, servers[0]), path, force)
    print(f"kubectl --kubeconfig {quote(str(path))} get nodes")


def _write(text: str, path: Path, force: bool) -> None:
    if copy := kubeconfig.save(text, path, force):
        print(f"kept as it was: {copy}")


def _does(there: str, text: str, servers: Sequence[str]) -> bool:
    """Whether a kubeconfig is one that another master's admin.conf, `text`, would only make another of."""
    from kubefab import users

    if not there:
        return False
    (_, mine), (ca, given) = kubeconfig.inside(there), kubeconfig.inside(text)
    good = mine == given or users.are_as_good(mine, given, ca)
    return good and any(there == kubeconfig.reachable_at(text, server, mine) for server in servers)


def _give_user(run: Engine, wish: Wish, user: str) -> None:
    """A key that never leaves this computer, and a certificate for it that the cluster signs."""
    from kubefab import users  # nobody else makes keys

    if not run.cluster.release.limits_certificates:
        raise KubefabError(_FOR_A_YEAR.format(run.cluster.inventory.cluster.kubernetes))
    asked, master = users.request(user, wish.groups), run.cluster.speaker
    name = f"kubefab-{secrets.token_hex(8)}"
    signed = users.certificate(asked, master.ask("sign-user.sh", name, str(int(wish.ttl)), payload=asked.text))
    ends = users.told_of_end(signed, wish.ttl)
    access = _access(run.cluster, run.cluster.authority, users.credentials(asked, signed), user)
    if wish.output is None:
        _merge(access, wish)
    else:
        path = Path(expanduser(wish.output))
        _write(access.alone(), path, wish.force)
        print(f"kubectl --kubeconfig {quote(str(path))} get nodes")
    bindings = master.ask("kubectl.sh", *_BINDINGS, secret=True)
    print(report.plain("\n".join([*ends, users.told_of_rights(bindings, user, wish.groups)])))


def _merge(access: Access, wish: Wish) -> None:
    paths = kubeconfig.files()
    home = kubeconfig.home(paths)
    done = _changed(paths, lambda texts: merging.put(texts, home, access, wish.use, wish.force))
    _tell(done, access.contexts)


def _take_out(run: Engine, wish: Wish) -> None:
    """Nobody is asked: the cluster may be no more."""
    wanted = run.cluster.inventory
    paths, name = kubeconfig.files(), wanted.cluster.name
    servers = [place.server for host in wanted.masters for place in places(wanted, host.name).values()]
    if run.dry:
        whose = f"the user {wish.user} of {name}" if wish.user is not None else f"the contexts of {name}"
        print(report.plain(f"would take {whose} out of {', '.join(map(str, paths))}"))
        return
    done = _changed(paths, lambda texts: merging.take_out(texts, name, servers, wish.user, wish.force))
    _tell(done, [])


def _changed(paths: list[Path], changed: Callable[[Mapping[Path, str]], Change]) -> tuple[Change, list[Path]]:
    """What was changed, and where what is lost by it was kept."""
    done: list[Change] = []
    kept: list[Path] = []

    def with_copies(texts: Mapping[Path, str]) -> dict[Path, str]:
        done.append(changed(texts))
        copies = {kubeconfig.kept(path): text for path, text in done[0].lost.items()}
        kept.extend(copies)
        return {**copies, **done[0].texts}

    kubeconfig.change(paths, with_copies)
    return done[0], kept


def _tell(done: tuple[Change, list[Path]], contexts: list[str]) -> None:
    change, kept = done
    written = ", ".join(map(str, change.texts))
    lines = [f"written: {written}" if written else "nothing to do: it is so already"]
    lines += [f"kept as it was, with its comments: {path}" for path in kept]
    lines += change.told
    if contexts:
        option = "" if change.current == contexts[0] else f" --context {quote(contexts[0])}"
        lines.append(f"kubectl{option} get nodes")
    if contexts[1:]:
        lines.append(f"by one master alone: --context {', '.join(map(quote, contexts[1:]))}")
    elif not contexts and not change.current:
        lines.append("no context is the current one now: kubectl config use-context NAME")
    print(report.plain("\n".join(lines)))


def _admin(run: Engine) -> str:
    return run.cluster.speaker.ask("print-kubeconfig.sh", secret=True)


def _access(cluster: Cluster, ca: str, credentials: Mapping[str, str], user: str = "") -> Access:
    wanted = cluster.inventory
    found = places(wanted, cluster.speaker.name)
    answering = [] if wanted.cluster.endpoint else [found[one.name] for one in cluster.answering if one.name in found]
    return Access(wanted.cluster.name, ca, found, credentials, user, answering)


def places(wanted: Inventory, speaker: str) -> dict[str, Place]:
    """Where API servers are asked: "" the user's own load balancer, else this master; then each master by its name.

    A master's address in hosts.yml need not be one that is in its certificate; the name kubernetes is in every one.
    """
    masters = {host.name: _direct(str(host.address)) for host in wanted.masters}
    endpoint = wanted.cluster.endpoint
    usual = Place(f"https://{endpoint}") if endpoint else masters[speaker]
    return {"": usual, **(masters if endpoint or len(masters) > 1 else {})}


def _direct(address: str) -> Place:
    return Place(f"https://{address}:{API_PORT}", "kubernetes")


_BINDINGS = ("get", "clusterrolebindings,rolebindings", "--all-namespaces", "--output", "json")
_FOR_A_YEAR = (
    "Kubernetes {} signs for as long as the cluster always does, a year say, and nobody could take that back; "
    "from 1.22 on a request says how long"
)
_NO_CLUSTER = "there is no cluster to fetch a kubeconfig from; `inv cluster.up` makes one"
