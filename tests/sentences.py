"""Every sentence that a user may read, in one list: titles, errors, hints, help and what the scripts say.

`make sentences` prints it, so that it can be read as by somebody who sees the project for the first time.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SAID_BY_A_SCRIPT = re.compile(r"""\becho\s+(["'].* .*["'])""")
# What only looks like a sentence: a program's words, a template's, a format.
NO_SENTENCE = re.compile(r"^(%|[-\w./=]+\s+-|jsonpath|\s*[{<]|.*\{\{)")


def of_python(file: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each: literals of two words or more, and the docstrings that are a task's help."""
    tree = ast.parse(file.read_text())
    docs = {id(doc): one for one in ast.walk(tree) if (doc := _docstring(one))}
    inside = {id(part) for one in ast.walk(tree) if isinstance(one, ast.JoinedStr) for part in ast.walk(one)}
    for one in ast.walk(tree):
        if isinstance(one, ast.JoinedStr):
            text = ast.unparse(one).removeprefix("f")[1:-1]
        elif isinstance(one, ast.Constant) and isinstance(one.value, str) and id(one) not in inside:
            text = one.value
        else:
            continue
        if id(one) in docs:
            text = text.strip().partition("\n")[0] if _is_task(docs[id(one)]) else ""
        if " " in text.strip() and not NO_SENTENCE.match(text):
            yield one.lineno, " / ".join(text.split("\n"))


def of_shell(file: Path) -> Iterator[tuple[int, str]]:
    """Line and text of what a script says to people, on standard error or as its last word."""
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if (said := SAID_BY_A_SCRIPT.search(line)) and (">&2" in line or "exit" in line):
            yield number, said[1]


def all_of_them() -> Iterator[str]:
    """`FILE:LINE: SENTENCE`, in the order of the files."""
    python = [ROOT / "tasks.py", *sorted((ROOT / "kubefab").rglob("*.py")), *sorted((ROOT / "lab").rglob("*.py"))]
    for files, read in ((python, of_python), (sorted((ROOT / "scripts").rglob("*.sh")), of_shell)):
        for file in files:
            yield from (f"{file.relative_to(ROOT)}:{line}: {text}" for line, text in sorted(read(file)))


def _docstring(one: ast.AST) -> ast.expr | None:
    if not isinstance(one, ast.FunctionDef | ast.ClassDef | ast.Module) or not one.body:
        return None
    first = one.body[0]
    return first.value if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else None


def _is_task(one: ast.AST) -> bool:
    return isinstance(one, ast.FunctionDef) and any("task" in ast.unparse(mark) for mark in one.decorator_list)


if __name__ == "__main__":
    print("\n".join(all_of_them()))
