"""What a program said, told from what a login says before it."""

from collections.abc import Iterator

import pytest

from kubefab import framing
from kubefab.errors import HostError
from kubefab.framing import Frame
from kubefab.ssh import Answer

FRAME = Frame("MARK")
GREETINGS = [
    "",
    "Welcome\n",
    "half a line",
    "== system\nhostname eve\nend system\n",
    "held\n",
    "\x1b]0;title\x07",
    "MARK\n",
]


@pytest.mark.parametrize("greeting", GREETINGS)
def test_an_answer_begins_where_our_program_does(greeting: str) -> None:
    answer = FRAME.answer(Answer(0, f"{greeting}\nMARK\nyes\n", f"{greeting}\nMARK\noh\n", 0))
    assert (answer.output, answer.errors) == ("yes\n", "oh\n")


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("greeting", GREETINGS)
def test_so_does_what_is_too_big_for_memory_wherever_it_is_cut(greeting: str, size: int) -> None:
    said = f"{greeting}\nMARK\n".encode() + b"\0\xff\nMARK\n" * 3
    pieces = (said[at : at + size] for at in range(0, len(said), size))
    assert b"".join(FRAME.stream(pieces)) == b"\0\xff\nMARK\n" * 3


@pytest.mark.parametrize("said", ["", "Please login as the user debian\n", "MARK"])
def test_an_answer_without_our_program_is_none(said: str) -> None:
    with pytest.raises(HostError, match="its login does not run what it is told to") as told:
        FRAME.answer(Answer(0, said, "", 0))
    assert told.value.lines == said
    with pytest.raises(HostError):
        list(FRAME.stream(iter([said.encode()])))


def test_a_login_that_goes_on_and_on_is_given_up() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"yes\n" * 10_000

    with pytest.raises(HostError, match="its login does not run"):
        list(FRAME.stream(endless()))


def test_no_two_programs_have_the_same_mark() -> None:
    assert Frame().mark != Frame().mark


def test_a_part_is_there_where_it_came_to_its_own_end() -> None:
    said = (
        "== MARK a\n1\n== a\nend a\nend MARK a\n== MARK b\n== MARK c\nend MARK b\n== MARK d\nend MARK d\n== MARK e\n2\n"
    )
    assert framing.parts(said, "MARK") == {"a": "1\n== a\nend a", "d": ""}


def test_only_a_newline_ends_a_line() -> None:
    assert framing.parts("== a\n1\x0b== b\r\x85\u2028end a\nend a\n") == {"a": "1\x0b== b\r\x85\u2028end a"}


def test_news_of_a_change_is_no_part_of_its_answer() -> None:
    told: list[str] = []
    hear = FRAME.news(told.append)
    said = "\nMARK\none\nMARK reading lists\ntwo\nMARK \n"
    for at in range(0, len(said), 5):
        hear(said[at : at + 5].encode())
    assert told == ["reading lists", ""]
    assert FRAME.answer(Answer(0, said, "", 0)).output == "one\ntwo\n"
