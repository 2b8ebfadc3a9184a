"""The programs of scripts/, as they are sent to a host."""

import re
from base64 import b64encode
from functools import cache
from pathlib import Path

from kubefab.patience import USUAL
from kubefab.questions import Questions

SCRIPTS = Path(__file__).parent.parent / "scripts"
SHARED = re.compile(r'^\. "\$\{0%/\*\}/(\S+)"$', re.MULTILINE)


@cache
def script_text(name: str) -> str:
    """A script, with what it shares with others (`. "${0%/*}/NAME"`) in its place: it travels alone."""
    return SHARED.sub(lambda found: script_text(found[1]), (SCRIPTS / name).read_text("utf-8"))


def look_program(questions: Questions, patience: int = USUAL.question) -> str:
    """A look, what it asks of, and the seconds that one of its questions may take."""
    return f"patience={patience}\n{questions.assignments()}{_look()}"


@cache
def _look() -> str:
    """All of scripts/look as one program: each file a function, so that nothing in it leaks into the next.

    Whatever its last command says, a part that comes to its end has the status 0.
    """
    parts = [path for path in sorted((SCRIPTS / "look").glob("*.sh")) if path.stem != "look"]
    functions = [f"look_{path.stem}() (\n{script_text(f'look/{path.name}')}exit 0\n)\n" for path in parts]
    return "".join(functions) + script_text("look/look.sh")


def fed(script: str, payload: str = "") -> str:
    """A program that is scripts/SCRIPT with this standard input, though it travels over standard input itself."""
    body = f"main() {{\n{script_text(script)}\n}}\n"
    return body + f'printf %s {b64encode(payload.encode()).decode()} | base64 -d | main "$@"\n'
