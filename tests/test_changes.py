"""scripts/change.sh and lock.sh: a change survives its caller, a lock does not."""

import re
import shlex
from base64 import b64encode

import pytest

from kubefab.programs import SCRIPTS, look_program, script_text
from tests import sandbox

GOES_ON = "flock -n /run/kubefab/change true && echo free || echo held\n"


def sent(program: str, payload: str = "", title: str = "swap is off") -> str:
    """A command that makes a change as Host.change sends it, with this program instead of one of ours."""
    text = f"program={shlex.quote(program)}\npayload={b64encode(payload.encode()).decode()}\n{script_text('change.sh')}"
    path = f"/mnt/{title.replace(' ', '-')}"
    return f"{sandbox.file(path, text)}sh -s -- '{title}' one 'two words' <{path}"


def change(program: str, payload: str = "", then: str = "") -> list[str]:
    """The lines that a change prints, and those of what is run after it."""
    return sandbox.run(f"status=0\n{sent(program, payload)} || status=$?\necho status $status\n{then}").splitlines()


def until(condition: str) -> str:
    return f"n=0; until {condition} 2>/dev/null; do n=$((n + 1)); [ $n -lt 2000 ] || exit 9; sleep 0.01; done\n"


BEGUN = until("grep -q begun /run/kubefab/change.log")


@sandbox.needed
def test_a_change_is_given_its_arguments_and_its_standard_input() -> None:
    assert change('echo "$# $1,$2"; cat', "it's\n$text\n") == ["2 one,two words", "it's", "$text", "status 0"]


@sandbox.needed
def test_a_changes_words_and_its_exit_status_are_passed_on() -> None:
    assert change("echo out; echo err >&2; exit 7") == ["out", "err", "status 7"]


@sandbox.needed
def test_a_change_is_told_while_it_goes_on_and_no_longer() -> None:
    look = sandbox.file("/mnt/look", look_program())
    lines = sandbox.run(f"{look}{sent('sh /mnt/look change --')}\nsh /mnt/look change --").splitlines()
    assert [line.split()[0] for line in lines] == ["==", "change", "=="]
    assert lines[1].split(maxsplit=2)[2] == "swap is off"


@sandbox.needed
def test_a_second_change_is_refused_while_the_first_goes_on() -> None:
    first = f"{sent('echo begun; sleep 30')} >/mnt/first &\n{BEGUN}"
    ended = sandbox.run(f"{first}status=0\n{sent('echo no', title='other')} || status=$?\necho status $status")
    assert re.fullmatch(r"another change is under way here: \d+ swap is off\nstatus 75\n", ended)


def killed(program: str, payload: str, signal: str) -> str:
    """What the change leaves in /run/end, though its caller is killed as soon as it has begun."""
    waiting = f"echo begun; while [ ! -e /mnt/go ]; do sleep 0.01; done; {program} >/run/end"
    called = sent(waiting, payload).replace("\nsh -s", "\nsetsid sh -s") + " >/mnt/first 2>&1 &\ncaller=$!\n"
    kill = f"{BEGUN}kill -{signal} -$caller\nwait $caller || true\n{GOES_ON}touch /mnt/go\n"
    return sandbox.run(f"{called}{kill}{until('flock -n /run/kubefab/change true')}cat /run/end")


@sandbox.needed
@pytest.mark.parametrize("signal", ["KILL", "HUP", "TERM"])
def test_a_change_survives_its_caller(signal: str) -> None:
    assert killed("echo done", "", signal) == "held\ndone\n"


@sandbox.needed
def test_a_change_has_all_of_its_standard_input_though_its_caller_is_gone() -> None:
    assert killed("wc -c", "x" * 200_000, "HUP") == "held\n200000\n"


@sandbox.needed
def test_a_secret_in_a_payload_is_in_no_process_list() -> None:
    secret = "hunter2-hunter2"
    (seen, *_) = change("cat >/dev/null; cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0\\n' '  '", secret)
    assert "sh -s -- swap is off" in seen
    assert secret not in seen
    assert b64encode(secret.encode()).decode() not in seen


@sandbox.needed
def test_nobody_else_reads_what_a_change_says() -> None:
    (*_, mode) = change("true", then="stat -c %a /run/kubefab")
    assert mode == "700"


def locked(then: str) -> str:
    """The lock is held by one who hears what is written to file 7; `take` tries to have it too."""
    holder = f"({{ cat {SCRIPTS}/lock.sh; cat /mnt/beats; }} | sh -s -- 'me@desk, process 7') >/mnt/said &\n"
    take = f"take() {{ sh -s -- 'other' <{SCRIPTS}/lock.sh; }}\n"
    return sandbox.run(f"mkfifo /mnt/beats\n{holder}exec 7>/mnt/beats\n{until('grep -q held /mnt/said')}{take}{then}")


@sandbox.needed
def test_a_lock_is_refused_to_all_others_and_names_its_holder() -> None:
    assert re.fullmatch(r"busy \d+ me@desk, process 7\n", locked("take"))


@sandbox.needed
def test_a_lock_goes_with_its_holders_standard_input() -> None:
    assert locked(f"exec 7>&-\n{until('flock -n /run/kubefab/run true')}take </dev/null") == "held\n"


@sandbox.needed
def test_a_lock_is_held_as_long_as_its_holder_is_heard_of() -> None:
    assert locked("printf .. >&7\nflock -n /run/kubefab/run true && echo free || echo held") == "held\n"
