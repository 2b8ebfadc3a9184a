"""Imports go one way, and what is pure talks to no host."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "kubefab"
STEPS = sorted(path.stem for path in (PACKAGE / "steps").glob("[!_]*.py"))
PURE = (
    "addons/addon",
    "inventory",
    "located",
    "releases",
    "gates",
    "facts",
    "render",
    "kubeadm",
    "mirrors",
    "runtimes",
    "etcd",
    "explain",
    "certificates",
    "differences",
    "merging",
    "users",
    "step",
    "errors",
    "patience",
    "questions",
    "schedule",
    "status",
)
TALKING = {
    "fabric",
    "paramiko",
    "requests",
    "socket",
    "subprocess",
    "kubefab.ssh",
    "kubefab.wires",
    "kubefab.host",
    "kubefab.cluster",
    "kubefab.converge",
    "kubefab.api",
    "kubefab.tunnel",
    "kubefab.downloads",
    "kubefab.executor",
    "kubefab.leaving",
    "kubefab.losing",
    "kubefab.access",
    "kubefab.putting_back",
    "kubefab.renewing",
    "kubefab.restoring",
    "kubefab.runbook",
    "kubefab.shells",
    "kubefab.streams",
    "kubefab.upgrading",
}
# Below which module may each stand: what it may import of kubefab.
ALLOWED = {
    "errors": set(),
    "releases": {"gates"},
    "gates": set(),
    "addons": {"addons", "facts", "questions"},
    "inventory": {"addons", "errors", "inventory", "located", "releases"},
    "located": {"errors"},
    "facts": {"errors", "facts", "questions"},
    "patience": set(),
    "questions": set(),
    "explain": {"certificates", "facts"},
    "certificates": {"differences", "errors", "facts", "inventory"},
    "runtimes": {"errors", "inventory", "releases"},
    "mirrors": {"inventory", "releases", "runtimes"},
    "kubeadm": {"facts", "inventory", "mirrors", "releases", "runtimes"},
    "render": {"questions", "inventory", "kubeadm", "mirrors", "programs", "runtimes"},
    "step": {"questions", "errors", "facts"},
    "bundle": {"disk", "errors"},
    "downloads": {"bundle", "errors", "inventory", "mirrors", "releases"},
    "differences": set(),
    "disk": {"errors"},
    "kubeconfig": {"disk", "errors", "kubeadm"},
    "merging": {"errors", "kubeadm", "users"},
    "users": {"errors"},
    "bolt": set(),
    "backup": {"bolt", "disk", "errors"},
    "etcd": {"errors", "facts"},
    "carry": {"disk", "errors", "framing", "host", "programs", "ssh"},
    "images": {
        "bundle",
        "carry",
        "cluster",
        "downloads",
        "errors",
        "facts",
        "inventory",
        "host",
        "kubeadm",
        "mirrors",
        "render",
        "runtimes",
        "step",
    },
    "hostkeys": {"errors"},
    "ways": {"errors", "inventory"},
    "identities": {"ways"},
    "wires": {"errors", "facts", "hostkeys", "identities", "inventory", "patience", "ways"},
    "ssh": {"errors", "inventory", "ways", "wires"},
    "framing": {"errors", "ssh"},
    "lock": {"framing"},
    "sudo": {"errors", "framing", "ssh"},
    "log": {"errors", "ssh"},
    "programs": {"patience", "questions"},
    "host": {"questions", "errors", "facts", "framing", "inventory", "lock", "log", "patience", "programs", "ssh"},
    "api": {"facts", "host", "kubeadm", "tunnel"},
    "tunnel": {"errors", "facts", "ssh", "wires"},
    "cluster": {
        "errors",
        "facts",
        "host",
        "inventory",
        "log",
        "patience",
        "questions",
        "releases",
        "render",
        "ssh",
        "step",
        "sudo",
        "wires",
    },
    "crashes": {"errors", "host"},
    "passes": set(),
    "waiting": {"errors"},
    "locks": {"errors", "host", "lock"},
    "report": {"errors", "etcd"},
    "schedule": {"facts", "inventory", "render"},
    "status": {"certificates", "errors", "etcd", "facts", "inventory", "patience", "schedule", "step"},
    "converge": {
        "cluster",
        "crashes",
        "errors",
        "facts",
        "host",
        "locks",
        "passes",
        "patience",
        "report",
        "step",
        "waiting",
    },
    "executor": {"api", "cluster", "converge", "errors", "inventory", "log", "report"},
    "losing": {
        "addons",
        "cluster",
        "converge",
        "errors",
        "executor",
        "host",
        "inventory",
        "passes",
        "report",
        "status",
        "step",
    },
    "leaving": {
        "converge",
        "errors",
        "etcd",
        "executor",
        "facts",
        "host",
        "inventory",
        "losing",
        "passes",
        "report",
        "step",
        "steps",
    },
    "access": {
        "cluster",
        "converge",
        "errors",
        "executor",
        "inventory",
        "kubeadm",
        "kubeconfig",
        "merging",
        "report",
        "runbook",
        "users",
    },
    "renewing": {"access", "converge", "errors", "etcd", "executor", "host", "passes", "steps"},
    "streams": {"errors", "framing", "host", "ssh"},
    "shells": {"cluster", "errors", "executor", "host", "patience", "programs", "report", "streams"},
    "restoring": {
        "backup",
        "converge",
        "errors",
        "etcd",
        "executor",
        "facts",
        "host",
        "losing",
        "passes",
        "report",
        "step",
        "steps",
    },
    "upgrading": {
        "converge",
        "errors",
        "etcd",
        "executor",
        "facts",
        "host",
        "images",
        "kubeadm",
        "leaving",
        "losing",
        "passes",
        "step",
        "steps",
    },
    "putting_back": {"converge", "errors", "executor", "facts", "host", "losing", "steps"},
    "runbook": {
        "passes",
        "addons",
        "backup",
        "certificates",
        "converge",
        "disk",
        "errors",
        "etcd",
        "executor",
        "explain",
        "facts",
        "images",
        "inventory",
        "host",
        "patience",
        "report",
        "status",
        "step",
        "steps",
        "tunnel",
    },
    "steps": {
        "questions",
        "addons",
        "backup",
        "differences",
        "bundle",
        "carry",
        "certificates",
        "cluster",
        "downloads",
        "errors",
        "etcd",
        "facts",
        "host",
        "images",
        "inventory",
        "kubeadm",
        "mirrors",
        "releases",
        "render",
        "runtimes",
        "schedule",
        "step",
        "steps",
    },
}
ONLY_TYPES = {"kubefab.cluster": {"Cluster"}, "kubefab.host": {"Host"}, "kubefab.inventory": {"Inventory"}}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def for_types_alone(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Module and name of everything imported, wherever in a file, but for what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if for_types_alone(child):
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, "") for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from ((child.module or "", alias.name) for alias in child.names)
        else:
            yield from imports(child)


def modules(path: Path) -> set[str]:
    """The modules a file imports; `from kubefab import facts` is kubefab.facts."""
    found = {
        f"{module}.{name}" if module in ("kubefab", "kubefab.steps") else module for module, name in imports(tree(path))
    }
    return {module.rstrip(".") for module in found}


def of_kubefab(path: Path) -> set[str]:
    return {module.split(".")[1] for module in modules(path) if module.startswith("kubefab.")}


def files_of(name: str) -> list[Path]:
    """A module's one file, or all of a package's."""
    return sorted((PACKAGE / name).glob("*.py")) or [PACKAGE / f"{name}.py"]


@pytest.mark.parametrize("name", PURE)
def test_what_is_pure_imports_nothing_that_talks_to_a_host(name: str) -> None:
    found = {module for path in files_of(name) for module in modules(path)}
    assert {module for module in found if module in TALKING or module.partition(".")[0] in TALKING} == set()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("[!_]*.py")), ids=lambda path: path.stem)
def test_imports_go_one_way(path: Path) -> None:
    kind = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert of_kubefab(path) - ALLOWED[kind] == set()


@pytest.mark.parametrize("name", ALLOWED)
def test_nothing_is_allowed_that_nobody_imports(name: str) -> None:
    assert ALLOWED[name] - {found for path in files_of(name) for found in of_kubefab(path)} == set()


def test_every_module_has_its_place() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {path.stem for path in PACKAGE.glob("[!_]*.py")} | packages == set(ALLOWED)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_knows_hosts_and_clusters_by_their_types_alone(name: str) -> None:
    found = tree(PACKAGE / "steps" / f"{name}.py")
    taken = {(module, imported) for module, imported in imports(found) if module in ONLY_TYPES}
    assert taken <= {(module, one) for module, names in ONLY_TYPES.items() for one in names}
    annotations = {id(one) for annotation in annotated(found) for one in ast.walk(annotation)}
    names = {imported for _, imported in taken}
    used = [one for one in ast.walk(found) if isinstance(one, ast.Name) and one.id in names]
    assert [one.lineno for one in used if id(one) not in annotations] == []


def annotated(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.walk(node):
        if isinstance(child, ast.arg | ast.AnnAssign) and child.annotation:
            yield child.annotation
        if isinstance(child, ast.FunctionDef) and child.returns:
            yield child.returns


def test_the_runbook_is_made_of_tasks_and_subjects() -> None:
    own = {module for module in modules(ROOT / "tasks.py") if not module.startswith("kubefab.steps.")}
    assert own == {
        "invoke",
        "kubefab.access",
        "kubefab.leaving",
        "kubefab.losing",
        "kubefab.passes",
        "kubefab.putting_back",
        "kubefab.renewing",
        "kubefab.restoring",
        "kubefab.runbook",
        "kubefab.shells",
        "kubefab.upgrading",
        "lab.tasks",
    }


def test_what_only_some_runs_need_is_imported_when_they_need_it() -> None:
    """Python's start is most of a run with nothing to do."""
    slow = {"requests", "rich"}
    for path in PACKAGE.rglob("*.py"):
        found = {
            one.partition(".")[0]
            for node in tree(path).body
            for one, _ in imports(ast.Module([node], []))
            if at_top(node)
        }
        assert found & slow == set(), path


def at_top(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)
