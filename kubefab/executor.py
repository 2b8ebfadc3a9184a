"""invoke's executor: one engine for all tasks of a run, and one report at its end."""

import atexit
import io
import os
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

import invoke
from invoke import Context, Exit
from invoke.parser.context import to_flag

from kubefab import report
from kubefab.converge import Engine
from kubefab.errors import HostError, KubefabError, reason
from kubefab.report import Failure

HOSTS = "INV_HOSTS"
HEARING = {"kubectl", "node.shell"}  # the tasks that what stands behind -- is for
_made: Engine | None = None  # the one engine of this run, once a task has asked for it


def engine_of(c: Context) -> Engine:
    """The one engine of this run."""
    global _made
    _made = _made or make(bool(c.config.run.dry))
    return _made


def make(dry: bool) -> Engine:
    """An engine for the cluster of hosts.yml, or of the file that INV_HOSTS names. InventoryError where it is wrong."""
    from kubefab import api, inventory
    from kubefab.cluster import Cluster
    from kubefab.log import Log

    # Needed as soon as there is a cluster, and imported while the hosts are still being reached.
    threading.Thread(target=import_module, args=("requests",), daemon=True).start()
    wanted = inventory.load(_hosts())
    cluster = Cluster(wanted, Log(_state() / "kubefab"), api.readyz)
    return Engine(cluster, report.Report(cluster.hosts), dry, patient=not dry)


def _hosts() -> Path:
    """The inventory's file. KubefabError where INV_HOSTS is there and names none: the usual file is not meant then."""
    if not (name := os.environ.get(HOSTS, "hosts.yml")):
        raise KubefabError(f"{HOSTS} is empty: let it name a file, or unset it, and hosts.yml is taken")
    return Path(name)


def _state() -> Path:
    """The folder that logs are kept below. KubefabError for a user without a home, as a container may have one."""
    try:
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError:
        raise KubefabError("this user has no home: set HOME, or XDG_STATE_HOME to a folder for the logs") from None


class Executor(invoke.Executor):
    """invoke's executor, with one error at the end for all hosts, and no traceback for anybody."""

    def execute(self, *tasks: Any) -> Any:
        _open_what_is_closed()
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # not every locale has the characters that hosts print
        try:
            return self._execute(*tasks)
        except KeyboardInterrupt:
            raise Exit(_INTERRUPTED, code=130) from None  # all that failed then did so for this reason
        except BrokenPipeError:
            _hang_up()
            raise Exit(code=141) from None

    def _execute(self, *tasks: Any) -> Any:
        results = {}
        ended: Exit | None = None
        try:
            self._refuse_unheard([task.name for task in tasks])
            _refuse_options_as_values(tasks)
            results = self._execute_and_close(*tasks)
        except KubefabError as error:
            ended = Exit(_told(error, tasks[-1].name), code=1)
        except BrokenPipeError:
            raise
        except OSError as error:  # of this computer: no room in /tmp, say
            ended = Exit(": ".join(filter(None, (str(error.filename or ""), error.strerror or reason(error)))), code=1)
        except Exit as error:
            ended = error
        if _made:
            self._tell(_made, ended, [task.name for task in tasks])
        if ended:
            raise ended
        return results

    def _refuse_unheard(self, names: list[str]) -> None:
        """KubefabError for words that no task would hear of: an option among them would be taken for given."""
        words = self.core.remainder if self.core is not None else ""
        if words and HEARING.isdisjoint(names):
            raise KubefabError(_UNHEARD.format(names[-1], words))

    def _execute_and_close(self, *tasks: Any) -> Any:
        try:
            return super().execute(*tasks)
        finally:
            if _made:
                _made.close()
                if _made.cluster.log.written:
                    _made.cluster.log.write_line(f"round trips: {_made.round_trips()}")

    def _tell(self, run: Engine, ended: Exit | None, names: list[str]) -> None:
        """What has happened, in the end. Exit with 1 where a host failed."""
        if run.failures:
            told = report.painted(report.failures(run.failures, run.cluster.log.path), sys.stderr)
            also = ended.message if ended and ended.message else ""
            raise Exit("\n".join((told, also)) if also else told, code=1)
        if run.converged and not ended:
            print(run.report.summary(run.planned, run.unknown))
            if not run.dry and (following := NEXT.get(names[-1])):
                print(following)


def _open_what_is_closed() -> None:
    """Of a stream that was closed, as by `<&-` or `>&-`, Python has None: it is one that says and keeps nothing."""
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115  open to the end
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _refuse_options_as_values(tasks: Sequence[Any]) -> None:
    """KubefabError for `bundle.make --dry`: where a value is missing invoke takes inv's own options for one."""
    for task in tasks:
        for name, argument in task.args.items():
            values = argument.value if isinstance(argument.value, list) else [argument.value]
            for value in values:
                if isinstance(value, str) and value.startswith("-") and value != "-":
                    raise KubefabError(_NO_VALUE.format(task.name, to_flag(name), value))


def _hang_up() -> None:
    """Nobody reads on; Python would say so once more when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """invoke's own lists, as `inv --list | head`, come by no executor."""
    if issubclass(kind, BrokenPipeError):
        _hang_up()
    else:
        sys.__excepthook__(kind, error, trace)


@atexit.register
def _flush() -> None:
    """What was printed into a buffer meets its reader only now."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:
        _hang_up()


sys.excepthook = _uncaught


def _told(error: KubefabError, task: str) -> str:
    """What ended the run; of a host that was talked to, with the last lines it said."""
    if isinstance(error, HostError) and error.host and _made:
        told = report.failures([Failure(error.host, task, error)], _made.cluster.log.path)
        return report.painted(told, sys.stderr)
    return report.plain(str(error))


NEXT = {
    "preflight": "next: inv --dry cluster.up, or inv cluster.up",
    "cluster.up": "next: inv cluster.status, or kubectl for this computer: inv cluster.kubeconfig",
    "node.join": "next: inv cluster.status",
    "bundle.make": "next: where there is no internet, in hosts.yml: bundle: FILE",
    "cluster.reset": "next: inv cluster.up",
    "restart": "next: inv cluster.up",
}
_UNHEARD = "{} takes nothing behind --: found '{}'; write it without the --, options stand before it"
_NO_VALUE = (
    "{0}: {1} needs a value, found '{2}'; --dry and --help stand before the task: inv --dry {0}; "
    "a file of such a name is ./{2}"
)
_INTERRUPTED = (
    "\ninterrupted: changes that have begun on the hosts go on there; run the same command again to wait for them "
    "and continue"
)
