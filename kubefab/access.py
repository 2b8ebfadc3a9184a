"""Who gets in: kubeconfigs for kubectl on this computer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os.path import expanduser
from pathlib import Path
from shlex import quote

from invoke import Context

from kubefab import kubeconfig, merging, report
from kubefab.cluster import Cluster
from kubefab.converge import Engine
from kubefab.errors import KubefabError
from kubefab.executor import engine_of
from kubefab.inventory import Inventory
from kubefab.kubeadm import API_PORT
from kubefab.merging import Access, Change, Place
from kubefab.runbook import of_master


@dataclass(frozen=True)
class Wish:
    """What is asked for: by `output` a file of its own, else in the person's own kubeconfig."""

    output: str | None = None
    force: bool = False
    use: bool = False
    remove: bool = False


def give(c: Context, wish: Wish) -> None:
    """Lets kubectl on this computer into the cluster, or takes out what once let it in."""
    run = engine_of(c)
    _check(wish)
    if wish.remove:
        _take_out(run, wish)
    elif wish.output is None:
        _merge(run, wish)
    else:
        _save(run, wish.output, wish.force)


def _check(wish: Wish) -> None:
    """Before anybody is asked for anything."""
    if wish.output is not None and (wish.remove or wish.use):
        raise KubefabError("--output writes a file of its own: --use and --remove are for your own kubeconfig")
    if wish.remove and wish.use:
        raise KubefabError("use --remove or --use, not both")


def _save(run: Engine, output: str, force: bool) -> None:
    of_master(run, _NO_CLUSTER)
    path = Path(expanduser(output))
    if run.dry:
        print(f"would write {path}")
        return
    server = places(run.cluster.inventory, run.cluster.speaker.name)[""].server
    kubeconfig.save(kubeconfig.reachable_at(_admin(run), server), path, force)
    print(f"kubectl --kubeconfig {quote(str(path))} get nodes")


def _merge(run: Engine, wish: Wish) -> None:
    of_master(run, _NO_CLUSTER)
    paths = kubeconfig.files()
    home = kubeconfig.home(paths)
    if run.dry:
        print(f"would write the context {run.cluster.inventory.cluster.name} into {home}")
        return
    access = _access(run.cluster, _admin(run))
    done = _changed(paths, lambda texts: merging.put(texts, home, access, wish.use, wish.force))
    _tell(done, access.contexts)


def _take_out(run: Engine, wish: Wish) -> None:
    """Nobody is asked: the cluster may be no more."""
    wanted = run.cluster.inventory
    paths, name = kubeconfig.files(), wanted.cluster.name
    servers = [place.server for host in wanted.masters for place in places(wanted, host.name).values()]
    if run.dry:
        print(f"would take the contexts of {name} out of {', '.join(map(str, paths))}")
        return
    done = _changed(paths, lambda texts: merging.take_out(texts, name, servers, None, wish.force))
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
        lines.append(f"by one master alone: --context {', '.join(contexts[1:])}")
    elif not contexts and not change.current:
        lines.append("no context is the current one now: kubectl config use-context NAME")
    print(report.plain("\n".join(lines)))


def _admin(run: Engine) -> str:
    return run.cluster.speaker.ask("print-kubeconfig.sh", secret=True)


def _access(cluster: Cluster, admin: str) -> Access:
    ca, credentials = kubeconfig.inside(admin)
    return Access(cluster.inventory.cluster.name, ca, places(cluster.inventory, cluster.speaker.name), credentials)


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


_NO_CLUSTER = "there is no cluster to fetch a kubeconfig from; `inv cluster.up` makes one"
