"""How docs/first-hour.md is read by the tests that type its commands."""

import re
from pathlib import Path

import pytest

from tests.e2e.first_hour import DOCUMENT, Block, blocks, missing, shell

PAGE = """\
# Page

## First

```sh
one
two
```

```text
all … well
```

```sh fails
three
```

## Second

```sh
four
```
"""


def test_a_chapter_is_its_commands_and_what_has_to_come_of_them() -> None:
    assert blocks("First", PAGE) == [Block("one\ntwo\n", False, ("all … well",)), Block("three\n", True)]
    assert blocks("Second", PAGE) == [Block("four\n", False)]


@pytest.mark.parametrize("said", ["all is well\nnext", "first\nall  is\twell\nthen\nnext: so"])
def test_what_has_to_come_may_come_among_other_lines(said: str) -> None:
    assert missing(("all … well", "next…"), said) is None


@pytest.mark.parametrize("said", ["next\nall is well", "not all is well\nnext", "all is well", ""])
def test_what_does_not_come_or_not_in_this_order_is_missing(said: str) -> None:
    assert missing(("all … well", "next…"), said) in ("all … well", "next…")


INV = "typed=0 asked=0\ninv() { asked=$((asked + 1)); [ $asked = 3 ] && echo lab: all is well $typed; }\n"


def test_a_status_is_asked_until_it_is_so_and_what_is_before_it_is_typed_once(tmp_path: Path) -> None:
    """As a person would: it gives each answer three seconds, and a busy computer may need longer once."""
    with shell(tmp_path) as typed:
        typed.does(Block(f"{INV}typed=$((typed + 1))\ninv cluster.status\n", False, ("lab: all is well 1",)))


# The first answer is of the machine that is to go down, then it is off, then sshd is not there yet.
REBOOTING = """\
tried=0 place='{0}'
touch "$place/before-reboot"
sleep() {{ :; }}
ssh() {{
    tried=$((tried + 1))
    shift 3
    case $tried in
        1) "${{@/#\\/run/$place}}" ;;
        2 | 3) return 255 ;;
        *) rm "$place/before-reboot" && "${{@/#\\/run/$place}}" ;;
    esac
}}
inv() {{ echo home: all is well $tried; }}
"""


def test_after_a_reboot_nothing_is_typed_before_the_machine_was_down_and_is_back(tmp_path: Path) -> None:
    asked = next(block for block in blocks("On machines of your own") if block.commands.startswith("until ssh"))
    with shell(tmp_path) as typed:
        typed.does(Block(REBOOTING.format(tmp_path) + asked.commands, asked.fails, ("home: all is well 4",)))


def test_every_block_of_the_page_is_one_that_a_test_types_or_compares() -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    fences = re.findall(r"^```.+$", page, re.MULTILINE)
    assert set(fences) == {"```sh", "```sh fails", "```text"}
    typed = blocks("On this computer") + blocks("On machines of your own")
    assert len(typed) == sum(fence.startswith("```sh") for fence in fences)
    assert sum(bool(block.told) for block in typed) == fences.count("```text")
