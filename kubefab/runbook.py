"""Between invoke and the engine: one engine for all tasks of a run, and one report at its end."""

import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

from invoke import Context, Exit
from invoke.executor import Executor

from kubefab.converge import Engine, Failure, Stop, Subject
from kubefab.errors import KubefabError, UnknownHostKey

HOSTS = "INV_HOSTS"


@cache
def engine(dry: bool) -> Engine:
    """The one engine of this run, with the cluster of hosts.yml, or of the file that INV_HOSTS names."""
    from kubefab import api, inventory
    from kubefab.cluster import Cluster
    from kubefab.remote import Log
    from kubefab.report import Report

    wanted = inventory.load(Path(os.environ.get(HOSTS, "hosts.yml")))
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    cluster = Cluster(wanted, Log(state / "kubefab"), api.healthz)
    return Engine(cluster, Report(cluster.hosts), dry)


def engine_of(c: "Context | Runbook") -> Engine:
    return engine(bool(c.config.run.dry))


def converge(c: Context, who: str, *subjects: Subject, **how: Any) -> None:
    """Brings hosts to the states of these subjects: see Engine.converge."""
    engine_of(c).converge(who, *subjects, **how)


class Runbook(Executor):
    """invoke's executor, with one error at the end for all hosts, and no traceback for anybody."""

    def execute(self, *tasks: Any) -> Any:
        try:
            return self._execute(*tasks)
        except KubefabError as error:
            raise Exit(str(error), code=1) from error
        except KeyboardInterrupt:
            raise Exit(_INTERRUPTED, code=130) from None

    def _execute(self, *tasks: Any) -> Any:
        try:
            results = super().execute(*tasks)
        except Stop:
            results = {}
        finally:
            if engine.cache_info().currsize:
                engine_of(self).close()
        if engine.cache_info().currsize:
            tell(engine_of(self))
        return results


def tell(engine: Engine) -> None:
    """What has happened, in the end. Exit with 1 where a host failed."""
    if engine.failures:
        raise Exit(failures_text(engine), code=1)


def failures_text(engine: Engine) -> str:
    blocks = [_unknown_keys([f for f in engine.failures if isinstance(f.error, UnknownHostKey)])]
    blocks += [_block(f) for f in engine.failures if not isinstance(f.error, UnknownHostKey)]
    log = engine.cluster.hosts[next(iter(engine.cluster.hosts))].log.path
    return "\n".join(block for block in (*blocks, f"full log: {log}" if log.exists() else "") if block)


def _block(failure: Failure) -> str:
    error = failure.error
    tail = "".join(f"\n    {line}" for line in error.lines.strip().splitlines()[-8:])
    hint = f"\n  what to do: {error.hint}" if error.hint else ""
    return f"\n{failure.host}: not so: {failure.title}\n  {error.what}{tail}{hint}"


def _unknown_keys(failures: list[Failure]) -> str:
    """One error for all hosts, and one command that accepts just the keys that were seen."""
    if not failures:
        return ""
    seen = "\n".join(f"  {failure.host}: {failure.error.what}" for failure in failures)
    lines = "\n".join(failure.error.lines for failure in failures)
    file = failures[0].error.hint
    return f"\n{seen}\nIf these are the fingerprints the machines show, accept them:\n\ncat >>{file} <<END\n{lines}\nEND\n"


_INTERRUPTED = (
    "\ninterrupted: what was begun on the hosts goes on there by itself; the same command waits for it and goes on"
)
