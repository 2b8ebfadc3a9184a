"""kubectl without one on this computer, and a shell on a host: both as if they ran here."""

import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from shlex import quote

from invoke import Context, Exit

from kubefab import report, streams
from kubefab.cluster import Cluster
from kubefab.errors import KubefabError
from kubefab.executor import engine_of
from kubefab.host import Host
from kubefab.patience import SHORT
from kubefab.programs import script_text

INTERRUPTED = 130  # exit status
# Of one-letter options those without a value may come before others: github.com/spf13/pflag, parseSingleShortArg.
_ASKS = re.compile(r"(?:--stdin|--interactive|-[AhqRtw]*i(?:[^=].*)?)(?:=(.*))?")
_TRUE = ("1", "t", "T", "true", "TRUE", "True")  # as Go reads it: strconv.ParseBool
_INPUT = re.compile(r"(?:-[AhqRtw]*f)?-|.*=-|.*/dev/stdin|.*/dev/fd/0|.*/proc/self/fd/0")
# Those of the options of every command that have no value: `kubectl options`; the last six are an older kubectl's.
_SWITCHES = (
    *("-h", "--help", "--disable-compression", "--insecure-skip-tls-verify", "--match-server-version"),
    "--warnings-as-errors",
    *("--add-dir-header", "--alsologtostderr", "--logtostderr", "--one-output", "--skip-headers", "--skip-log-headers"),
)
_FILES = ("-f", "--filename", "-k", "--kustomize")


def kubectl(c: Context) -> None:
    """What stands behind -- is kubectl's, on a master that answers, as the cluster's admin. Exit with its status."""
    run, words = engine_of(c), typed()
    if not words:
        raise KubefabError("say after -- what kubectl is to do: inv kubectl -- get nodes")
    _check_config(words)
    master = _answering(run.cluster)
    if run.dry:
        print(f"would run by way of {master.name}: {shlex.join(['kubectl', *words])}")
        return
    status = _ended(lambda: streams.run(master, program(words), reads(words)))
    if status:
        _say_whose_files(master.name, files_of_here(words))
        raise Exit(code=status)


def log_in(c: Context, name: str) -> None:
    """A shell on a host, or what stands behind --, as who logs in there. Exit with its status."""
    run, words = engine_of(c), typed()
    host = run.cluster.require(name)
    if run.dry:
        print(f"would run on {name}: {shlex.join(words) or 'a shell'}")
    elif status := _ended(lambda: streams.log_in(host, words)):
        raise Exit(code=status)


def typed() -> list[str]:
    """What stands behind -- on the command line, word by word: invoke itself joins it by blanks."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def program(words: Sequence[str]) -> str:
    """kubectl with these words. They are no arguments of sudo's, which would log them."""
    return f"set -- {shlex.join(words)}\n{script_text('kubectl.sh')}"


def reads(words: Sequence[str]) -> bool:
    """Whether kubectl is to read what comes through a pipe: else a loop over lines would lose them to it."""
    own = _own(words)
    asked = [found[1] for found in map(_ASKS.fullmatch, own) if found]  # the last one counts
    files = (word for before, word in pairwise(["", *own]) if word.startswith("-") or before in _FILES)
    named = (*own, *(name for word in files for name in re.split("[=,]", word)))
    return any(one is None or one in _TRUE for one in asked[-1:]) or any(map(_INPUT.fullmatch, named))


def files_of_here(words: Sequence[str]) -> list[str]:
    """The files that are named to kubectl and lie on this computer, where it does not run."""
    words = _own(words)
    named = [second for first, second in pairwise(words) if first in _FILES]
    named += [word.partition("=")[2] for word in words if word.startswith(_FILES) and "=" in word]
    return [name for name in named if Path(name).exists()]


def _check_config(words: Sequence[str]) -> None:
    """KubefabError for what would edit the master's own kubeconfig, by which its cluster is kept."""
    command, what = [*_commands(words), "", ""][:2]
    if command == "config" and not re.fullmatch("view|current-context|get-.*", what):
        raise KubefabError(_CONFIG)


def _commands(words: Sequence[str]) -> Iterator[str]:
    """What kubectl takes for a command and its subcommand, and what follows: neither an option nor an option's value.

    To kubectl an option that it does not know has a value. Source: github.com/spf13/cobra, command.go, stripFlags.
    """
    left = iter(words)
    for word in left:
        if word == "--":
            return
        if word and not word.startswith("-"):
            yield word
        elif _has_value(word):
            next(left, None)


def _has_value(option: str) -> bool:
    """Whether the next word is this option's value: of -nweb and --namespace=web it is not."""
    return "=" not in option and option not in _SWITCHES and (option.startswith("--") or len(option) == 2)


def _own(words: Sequence[str]) -> Sequence[str]:
    """Without those of a command in a container."""
    return words[: words.index("--")] if "--" in words else words


def _answering(cluster: Cluster) -> Host:
    """A master whose API server answers; where none does, kubectl says what it has to say of it."""
    with cluster.asked_with(SHORT):
        cluster.ask(cluster.masters)
    if not cluster.facts(cluster.speaker).cluster:
        raise KubefabError(_NO_CLUSTER)
    return cluster.speaker


def _ended(program: Callable[[], int]) -> int:
    """Its exit status. Who interrupts what only shows something, as `logs --follow`, is told nothing of changes."""
    try:
        return program()
    except KeyboardInterrupt:
        return INTERRUPTED


def _say_whose_files(master: str, files: Sequence[str]) -> None:
    for name in files:
        print(report.plain(_ELSEWHERE.format(master, quote(name))), file=sys.stderr)


_NO_CLUSTER = "there is no cluster yet; `inv cluster.up` makes one"
_CONFIG = "kubectl config would change the master's own kubeconfig; for one of yours: inv cluster.kubeconfig"
_ELSEWHERE = "kubectl ran on {0}, which has not this computer's {1}: hand it over by -f - <{1}"
