"""What two sides say otherwise, in words. Secrets are not among them."""

import re
from collections.abc import Collection, Mapping
from decimal import Decimal

HIDDEN = "(hidden)"
# What a name like these has may open something; a path, a short number, a duration or a switch opens nothing.
_SECRET = re.compile(r"token|passw|passphrase|secret|credential|bearer|basic-auth|api-?key|private", re.IGNORECASE)
_PLAIN = re.compile(r"/[a-z0-9._/-]*|[Tt]rue|[Ff]alse|[0-9.]{1,5}|([0-9.]+(ns|us|ms|[smhd]|[KMG]i?B?))+")
# These have whatever somebody has given them: a probe's headers, say, where nobody is let in without a token.
_ANYTHING = re.compile(r"(^|[. ])env\[|(^|[. ])words$|httpHeaders|URLHeader", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")  # in a URL
_QUERY = re.compile(r"(?<=[?&])([^=&\s]+)=[^&\s]+")  # of one
_MICRO = Decimal("0.000001")
_SECONDS = {
    **{"h": Decimal(3600), "m": Decimal(60), "s": Decimal(1), "ms": 1000 * _MICRO},
    **{"us": _MICRO, "µs": _MICRO, "ns": _MICRO / 1000},
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|us|µs|ns|m|s)")
_DURATION = re.compile(rf"({_PART.pattern})+")
# Without milli, whose "m" is the minute of a duration.
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:e[0-9]{1,2})?)((?:[KMGTPE]i|[kMGTPE])?)")
_BARE = re.compile(r"[0-9.]+")
_UNITS: dict[str, int] = {"": 1, **{f"{unit}i": 1024 ** (at + 1) for at, unit in enumerate("KMGTPE")}}
_UNITS |= {unit: 1000 ** (at + 1) for at, unit in enumerate("kMGTPE")}


def shown(name: str, value: str) -> str:
    """A setting's value, for people: without what may be a secret."""
    if _ANYTHING.search(name) or (_SECRET.search(name) and not _PLAIN.fullmatch(value)):
        return HIDDEN
    return _QUERY.sub(rf"\1={HIDDEN}", _LOGIN.sub(HIDDEN, value))


def same(found: str | None, wanted: str | None) -> bool:
    """Whether they say the same: two durations of one length do, and two quantities, however they are written.

    The API writes both in forms of their own: 60s as 1m0s, 1024Mi as 1Gi. Sources: Go, time.Duration.String;
    k8s.io/apimachinery, pkg/api/resource/quantity.go (CanonicalizeBytes).
    """
    if found == wanted or found is None or wanted is None:
        return found == wanted
    seconds = length(found)
    return (seconds is not None and seconds == length(wanted)) or _one_quantity(found, wanted)


def differences(found: Mapping[str, str], wanted: Mapping[str, str], among: Collection[str] | None = None) -> list[str]:
    """What is there otherwise than wanted; `among`: of these alone, else of all that either side has."""
    names = dict.fromkeys((*wanted, *found)) if among is None else among
    return [
        _told(name, found.get(name), wanted.get(name)) for name in names if not same(found.get(name), wanted.get(name))
    ]


def length(text: str) -> Decimal | None:
    """Of a duration of Go's, in seconds: without a unit, 0 alone is one."""
    if text == "0":
        return Decimal(0)
    if not _DURATION.fullmatch(text):
        return None
    return sum((Decimal(number) * _SECONDS[unit] for number, unit in _PART.findall(text)), Decimal(0))


def _one_quantity(found: str, wanted: str) -> bool:
    """Of two numbers without any unit each figure counts: 1.10 and 1.1 may be versions."""
    one, other = _QUANTITY.fullmatch(found), _QUANTITY.fullmatch(wanted)
    if not one or not other or (_BARE.fullmatch(found) and _BARE.fullmatch(wanted)):
        return False
    return Decimal(one[1]) * _UNITS[one[2]] == Decimal(other[1]) * _UNITS[other[2]]


def _told(name: str, found: str | None, wanted: str | None) -> str:
    if found is None:
        return f"without {name}={shown(name, wanted or '')}"
    if wanted is None:
        return f"with {name}={shown(name, found)}"
    now, then = shown(name, found), shown(name, wanted)
    return f"{name} is another, which is not shown" if now == then else f"{name} is {now}, not {then}"
