"""What two sides say otherwise, in words. Secrets are not among them."""

import re
from collections.abc import Collection, Mapping

HIDDEN = "(hidden)"
# What a name like these has may open something; a path, a number, a duration or a switch opens nothing.
_SECRET = re.compile(r"token|password|passwd|secret|credential|api-?key|private|^env\[", re.IGNORECASE)
_PLAIN = re.compile(r"/[^:@]*|true|false|[0-9.]+(ns|us|ms|[smhd]|[KMG]i?B?)?([0-9.]+(ms|[smh]))*", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")  # in a URL


def shown(name: str, value: str) -> str:
    """A setting's value, for people: without what may be a secret."""
    if _SECRET.search(name) and not _PLAIN.fullmatch(value):
        return HIDDEN
    return _LOGIN.sub(HIDDEN, value)


def differences(found: Mapping[str, str], wanted: Mapping[str, str], among: Collection[str] | None = None) -> list[str]:
    """What is there otherwise than wanted; `among`: of these alone, else of all that either side has."""
    names = dict.fromkeys((*wanted, *found)) if among is None else among
    return [_told(name, found.get(name), wanted.get(name)) for name in names if found.get(name) != wanted.get(name)]


def _told(name: str, found: str | None, wanted: str | None) -> str:
    if found is None:
        return f"without {name}={shown(name, wanted or '')}"
    if wanted is None:
        return f"with {name}={shown(name, found)}"
    now, then = shown(name, found), shown(name, wanted)
    return f"{name} is another, which is not shown" if now == then else f"{name} is {now}, not {then}"
