"""Whatever bytes a host prints: they break no parser, and no fact but those of the part that they are in."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubefab import framing
from kubefab.errors import HostError
from kubefab.facts import ClusterFacts, Part, parse, parse_cluster
from kubefab.framing import Frame
from kubefab.ssh import Answer

CAPTURED = Path(__file__).parent / "captured"
LOOKS = [(CAPTURED / f"look-{name}.txt").read_text() for name in ("fresh", "silent", "broken-dpkg", "master")]
ODD = "\nodd \r\x1c\x85\u2028\u2029."  # lines to Python, and to nobody else
WHOLE = {name: text + ODD for look in LOOKS for name, text in framing.parts(look).items()}
MARK = "5f0d7a2c7c1b4b8e"  # which nobody on a host can know beforehand
ENDS_OF_LINES = ("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
FORGED = ("== node", "end node", f"== {MARK[:-1]} node", "init_begun 1", "cpus 64", "answer {}", "unit Id=x.service")
LONG = ("9" * 5000, "[" * 100_000, '{"items":' * 30_000, "A" * 1_000_000, "image a\n" * 40_000, "\x1b[2J" * 20_000)
INSERTED = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(str.encode),
    st.sampled_from(LONG).map(str.encode),
    st.tuples(st.sampled_from(ENDS_OF_LINES), st.sampled_from(FORGED), st.sampled_from(ENDS_OF_LINES)).map(
        lambda words: "".join(words).encode()
    ),
)
CONTROL = st.sampled_from([bytes([code]) for code in (*range(32), 127)])
quickly = settings(
    max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@st.composite
def spoilt(draw: st.DrawFn, text: str) -> bytes:
    """This text, cut off somewhere, or with something in it or in place of some of it."""
    found = text.encode()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(found)))
        gone = draw(st.integers(0, 60))
        match draw(st.sampled_from(("cut", "put", "replace"))):
            case "cut":
                found = found[:at]
            case "put":
                found = found[:at] + draw(INSERTED | CONTROL) + found[at:]
            case "replace":
                found = found[:at] + draw(INSERTED | CONTROL) + found[at + gone :]
    return found


def framed(name: str, body: bytes) -> bytes:
    return b"== %s %s\n%s\nend %s %s\n" % (MARK.encode(), name.encode(), body, MARK.encode(), name.encode())


def parts_of(said: bytes, greeting: bytes = b"Welcome!") -> dict[str, str]:
    """As Host.look takes them out of what comes over SSH."""
    whole = greeting + f"\n{MARK}\n".encode() + said
    answer = Frame(MARK).answer(Answer(0, whole.decode(errors="replace"), "", 0))
    return framing.parts(answer.output, MARK)


def understand(name: str, text: str) -> Part | ClusterFacts | None:
    return parse_cluster(text) if name == "cluster" else parse({name: text})[name]


@pytest.mark.parametrize("name", sorted(WHOLE))
@quickly
@given(data=st.data())
def test_no_part_breaks_the_parser_or_another_part(name: str, data: st.DataObject) -> None:
    body = data.draw(spoilt(WHOLE[name]))
    looks = {other: text.encode() for other, text in WHOLE.items()} | {name: body}
    found = parts_of(b"".join(framed(*look) for look in looks.items()))
    assert {**found, name: ""} == {**WHOLE, name: ""}
    try:
        understand(name, found[name])
    except HostError as error:
        understood, told = False, error.what
    else:
        understood, told = True, ""
    assert understood or f"the answer to a look cannot be understood: {name}: " in told


@quickly
@given(data=st.data())
def test_a_look_that_is_cut_anywhere_tells_only_what_is_whole(data: st.DataObject) -> None:
    said = b"".join(framed(name, text.encode()) for name, text in WHOLE.items())
    found = parts_of(said[: data.draw(st.integers(0, len(said)))])
    assert list(found.items()) == list(WHOLE.items())[: len(found)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", " ", "True", "Node", "word"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "items"]), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def spoilt_json(draw: st.DrawFn, value: Any) -> Any:
    """This JSON with something else somewhere in it, or nothing where something was."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 6)) == 0:
        return draw(JSON)
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = draw(st.sampled_from(keys))
    inner = value[key]
    rest = value.copy()
    if draw(st.integers(0, 6)) == 0:
        del rest[key]
    else:
        rest[key] = draw(spoilt_json(inner))
    return rest


@settings(quickly, max_examples=400)
@given(data=st.data())
def test_whatever_json_kubectl_prints_is_a_cluster_or_not_understood(data: st.DataObject) -> None:
    line = next(line for line in WHOLE["cluster"].split("\n") if line.startswith("answer "))
    answer = json.dumps(data.draw(spoilt_json(json.loads(line.removeprefix("answer ")))))
    with suppress(HostError):
        live = parse_cluster(f"answer {answer}")
        assert live
        assert all(isinstance(text, str) for node in live.nodes.values() for text in (node.name, node.trouble))
        assert all(isinstance(number, int) for one in live.workloads.values() for number in (one.wanted, one.ready))
        assert (len(live.addons), live.ready_nodes) < (9, 9)


@quickly
@given(greeting=INSERTED | CONTROL)
def test_what_a_login_says_first_is_no_fact(greeting: bytes) -> None:
    said = b"".join(framed(name, text.encode()) for name, text in WHOLE.items())
    assert parts_of(said, greeting) == WHOLE
