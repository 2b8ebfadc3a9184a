"""The runbook: which tasks there are, on what they depend, and that nothing but that is in it."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from invoke import Exit

import tasks
from tests import sentences

ROOT = Path(__file__).parent.parent
COMMAND = re.compile(r"\binv (?:--dry )?([a-z]+(?:[.-][a-z]+)*)((?: (?!-- )[^\s`;,|)]+)*)")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNBOOK = ast.parse((ROOT / "tasks.py").read_text())
NAMES = (
    "preflight",
    "install-docker",
    "install-kubeadm",
    "init-master",
    "install-flannel",
    "untaint",
    "taint",
    "join-worker",
    "dashboard",
    "rook",
    "restart",
    "fix-reboot",
    "kubectl",
    "cluster.up",
    "cluster.upgrade",
    "cluster.put-back",
    "cluster.status",
    "cluster.explain",
    "cluster.reset",
    "cluster.kubeconfig",
    "node.join",
    "node.cordon",
    "node.uncordon",
    "node.drain",
    "node.remove",
    "node.shell",
    "etcd.backup",
    "etcd.fetch",
    "etcd.restore",
    "etcd.give-up-restore",
    "etcd.defragment",
    "etcd.status",
    "certs.status",
    "certs.renew",
    "addon.remove",
    "bundle.make",
    "bundle.use",
    "images.list",
    "images.preload",
    "lab.up",
    "lab.fresh",
    "lab.reboot",
    "lab.cut",
    "lab.ssh",
    "lab.down",
    "lab.status",
)
PRE = {
    "install-docker": ["preflight"],
    "install-kubeadm": ["install_docker"],
    "init-master": ["install_kubeadm"],
    "install-flannel": ["init_master"],
    "untaint": ["init_master"],
    "taint": ["init_master"],
    "join-worker": ["install_flannel"],
    "dashboard": ["join_worker"],
    "rook": ["join_worker"],
    # What a break has left half changed comes before its checks.
    "cluster.up": [],
    # These two name a host, which a pre= task could not see.
    "node.join": [],
    "restart": [],
}


def named(name: str) -> Any:
    return tasks.ns[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_task_is_there_with_a_line_of_help(name: str) -> None:
    words = (named(name).__doc__ or "").partition("\n")[0]
    assert words.endswith(".")


def test_there_is_no_task_that_nobody_asked_for() -> None:
    assert set(tasks.ns.task_names) == set(NAMES)


@pytest.mark.parametrize(("name", "pre"), PRE.items())
def test_a_task_brings_what_it_depends_on_in_this_order(name: str, pre: list[str]) -> None:
    assert [task.body.__name__ for task in named(name).pre] == pre


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_line_of_help(name: str) -> None:
    options = {argument.name: argument.help for argument in named(name).get_arguments()}
    assert [option for option, text in options.items() if not text] == []


@pytest.mark.parametrize("name", NAMES)
def test_h_is_help(name: str) -> None:
    assert "h" not in {letter for argument in named(name).get_arguments() for letter in argument.names}


@pytest.mark.parametrize("port", ["99999", "65536", "-1", "abc", "", "9" * 5000])
def test_a_port_that_is_none_is_told_before_anything_is_deployed(port: str) -> None:
    (argument,) = [one for one in named("dashboard").get_arguments() if one.name == "port"]
    with pytest.raises(Exit, match=r"--port: found .*; allowed: a number from 0 to 65535"):
        argument.value = port
    argument.value = "8443"
    assert argument.value == 8443


@pytest.mark.parametrize("workers", ["0", "-1", "1.5", "many", "", "9" * 5000])
def test_how_many_workers_at_once_is_read_before_anything_is_begun(workers: str) -> None:
    (argument,) = [one for one in named("cluster.upgrade").get_arguments() if one.name == "at_once"]
    with pytest.raises(Exit, match=r"--at-once: found .*; allowed: a number from 1 to 999"):
        argument.value = workers
    argument.value = "3"
    assert argument.value == 3


@pytest.mark.parametrize(("name", "needed"), [("bundle.make", "output")])
def test_an_option_that_is_needed_is_asked_for_before_the_task_runs(name: str, needed: str) -> None:
    assert [argument.name for argument in named(name).get_arguments() if argument.positional] == [needed]


def test_what_destroys_asks_before_it_does() -> None:
    for name in (
        "restart",
        "cluster.reset",
        "addon.remove",
        "node.drain",
        "node.remove",
        "cluster.upgrade",
        "etcd.restore",
    ):
        assert "yes" in {argument.name for argument in named(name).get_arguments()}


def test_a_run_takes_up_what_was_cut_off_before_it_asks_an_api_server_and_changes_kubelets_in_turn() -> None:
    up = [one for one in RUNBOOK.body if isinstance(one, ast.FunctionDef) and one.name in ("up", "settle")]
    lines = [line for one in up for line in one.body]
    calls = [one.value for one in lines if isinstance(one, ast.Expr) and isinstance(one.value, ast.Call)]
    passes = [([ast.unparse(one) for one in call.args[1:]], bool(call.keywords)) for call in calls]
    brought = [words for words, _ in passes if words]
    assert brought[0] == ["ALL", "drift_nodes.taken_up", "drift.taken_up", "checks.steps"]
    kubelets = [(words[0], in_turn) for words, in_turn in passes if "drift_nodes.kubelet" in words]
    assert kubelets == [("MASTERS", True), ("WORKERS", True)]


@pytest.mark.parametrize("task", ["install_docker", "up"])
def test_masters_docker_is_changed_in_turn_before_all_hosts_are_worked_on_at_once(task: str) -> None:
    functions = [one for one in RUNBOOK.body if isinstance(one, ast.FunctionDef)]
    told = {one.name: [ast.unparse(line) for line in one.body] for one in functions}
    lines = [line for one in told[task] for line in (told["spare_masters"] if one == "spare_masters(c)" else [one])]
    in_turn = lines.index("converge(c, MASTERS, runtime.in_turn, how=IN_TURN)")
    at_once = next(at for at, line in enumerate(lines) if "runtime.at_once" in line)
    assert in_turn < at_once
    assert not [line for line in lines if "runtime.steps" in line]


def test_after_a_reboot_what_the_power_cut_off_is_taken_up_too() -> None:
    (reboot,) = (one for one in RUNBOOK.body if isinstance(one, ast.FunctionDef) and one.name == "fix_reboot")
    assert "converge(c, ALL, drift_nodes.taken_up, drift.taken_up, reboot.at_once)" in ast.unparse(reboot)


def test_after_a_reboot_masters_take_turns_once_those_are_mended_that_serve_nothing_and_before_all_wait() -> None:
    (reboot,) = (one for one in RUNBOOK.body if isinstance(one, ast.FunctionDef) and one.name == "fix_reboot")
    lines = [ast.unparse(line) for line in reboot.body]
    in_turn = lines.index("converge(c, MASTERS, reboot.in_turn, how=IN_TURN)")
    assert [at for at, line in enumerate(lines) if "reboot.at_once" in line] == [in_turn - 1]
    assert next(at for at, line in enumerate(lines) if "health." in line) == in_turn + 1


def commands() -> list[tuple[str, str, str]]:
    """Each command that a message or a page names: where, its task, and what follows."""
    told = [line.partition(": ")[::2] for line in sentences.all_of_them()]
    told += [(page.name, quoted) for page in PAGES for quoted in re.findall(r"`(inv [^`]*)`", page.read_text())]
    return [(where, found[1], found[2]) for where, text in told for found in COMMAND.finditer(" ".join(text.split()))]


def test_every_command_that_is_named_can_be_typed() -> None:
    options = {name: {flag for one in named(name).get_arguments() for flag in one.names} for name in NAMES}
    found = commands()
    assert len(found) > 200
    assert [(where, task) for where, task, _ in found if task not in NAMES] == []
    for where, task, words in found:
        said = {flag.replace("-", "_") for flag in re.findall(r"(?<=--)[a-z][a-z-]*", words)}
        assert said <= {flag.replace("-", "_").rstrip("_") for flag in options[task]}, where


def test_no_message_has_somebody_take_all_hosts_for_one() -> None:
    """`inv restart` without a host takes the whole cluster away."""
    bare = [where for where, task, words in commands() if task == "restart" and "--host" not in words]
    assert [where for where in bare if where.startswith("kubefab/")] == []


def test_the_runbook_has_no_loops_and_no_choices() -> None:
    forbidden = (
        ast.For,
        ast.While,
        ast.If,
        ast.Try,
        ast.With,
        ast.Lambda,
        ast.ListComp,
        ast.DictComp,
        ast.GeneratorExp,
    )
    assert [node.lineno for node in ast.walk(RUNBOOK) if isinstance(node, forbidden)] == []


def test_the_runbook_has_no_shell_and_no_ssh() -> None:
    """A task hands its context on, and never uses it."""
    uses = [node for node in ast.walk(RUNBOOK) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    assert [ast.unparse(node) for node in uses if node.value.id == "c"] == []  # type: ignore[attr-defined]
    texts = [node.value for node in ast.walk(RUNBOOK) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert not [text for text in texts if any(word in text for word in ("sudo ", "apt-get", "systemctl", "$("))]


def test_a_task_is_a_few_lines() -> None:
    bodies = [node for node in ast.walk(RUNBOOK) if isinstance(node, ast.FunctionDef)]
    assert max(len(body.body) for body in bodies) <= 8
