"""scripts/change.sh and lock.sh: a change survives its caller, a lock does not."""

import re
import shlex
from base64 import b64encode

import pytest

from kubefab.programs import SCRIPTS, look_program, script_text
from kubefab.questions import Questions
from tests import sandbox
from tests.sandbox import until


def sent(program: str, payload: str = "", title: str = "swap is off", about: str = "") -> str:
    """A command that makes a change as Host.change sends it, with this program instead of one of ours."""
    text = f"program={shlex.quote(program)}\npayload={b64encode(payload.encode()).decode()}\n{script_text('change.sh')}"
    path = f"/mnt/{title.replace(' ', '-')}"
    return f"{sandbox.file(path, text)}sh -s -- '{title}' '{about}' one 'two words' <{path}"


def change(program: str, payload: str = "", then: str = "") -> list[str]:
    """The lines that a change prints, and those of what is run after it."""
    return sandbox.run(f"status=0\n{sent(program, payload)} || status=$?\necho status $status\n{then}").splitlines()


BEGUN = until("grep -q begun /run/kubefab/change.log")


@sandbox.needed
def test_a_change_is_given_its_arguments_and_its_standard_input() -> None:
    assert change('echo "$# $1,$2"; cat', "it's\n$text\n") == ["2 one,two words", "it's", "$text", "status 0"]


@sandbox.needed
@pytest.mark.parametrize(("user", "scopes"), [("SUDO_USER=me ", 1), ("", 0)])
def test_a_change_by_sudo_does_not_end_with_its_login(user: str, scopes: int) -> None:
    """KillUserProcesses=yes of systemd-logind, which leaves root's own sessions alone."""
    scope = "stub systemd-run 'shift 4; exec \"$@\"'\n"
    stubs = "sed -i 's,PATH=,&/mnt/bin:,' /mnt/swap-is-off\n"
    command = sent("cat; exit 7", "its input").replace("sh -s --", f"{stubs}{user}sh -s --")
    said = sandbox.run(f"{scope}{command} || echo status $?\nsed -n 's/ setsid.*//p' /mnt/calls")
    told = "systemd-run --scope --quiet --collect --description=kubefab: swap is off"
    assert said.splitlines() == ["its inputstatus 7", *[told] * scopes]


@sandbox.needed
def test_a_changes_words_and_its_exit_status_are_passed_on() -> None:
    assert change("echo out; echo err >&2; exit 7") == ["out", "err", "status 7"]


@sandbox.needed
def test_a_change_is_told_while_it_goes_on_and_no_longer() -> None:
    look = sandbox.file("/mnt/look", look_program(Questions()))
    lines = sandbox.run(f"{look}{sent('sh /mnt/look change')}\nsh /mnt/look change").splitlines()
    assert [line.split()[0] for line in lines] == ["==", "change", "end", "==", "end"]
    assert lines[1].split(maxsplit=2)[2] == "|swap is off"


@sandbox.needed
def test_two_looks_at_one_time_are_neither_a_change_nor_a_run() -> None:
    """Each tries the locks for a moment, with what their last holders left in them."""
    files = sandbox.file("/run/kubefab/change", "1 |swap is off\n") + sandbox.file("/run/kubefab/run", "1 me@desk\n")
    look = sandbox.file("/mnt/look", look_program(Questions()))
    held = r"\1 sh -c 'touch /mnt/held; sleep 1';"
    slow = sandbox.file("/mnt/slow", re.sub("(flock .*) true;", held, look_program(Questions())))
    begun = until("[ -e /mnt/held ]")
    said = sandbox.run(f"{files}{look}{slow}sh /mnt/slow change >/mnt/said &\n{begun}sh /mnt/look change")
    assert [line.split()[0] for line in said.splitlines()] == ["==", "end"]


@sandbox.needed
def test_a_change_that_succeeded_has_though_whoever_tells_of_it_is_gone() -> None:
    """For want of memory, say."""
    program = "kill -KILL $(ps -o pid= --ppid $PPID | grep -vw $$); sleep 0.2; echo done"
    assert change(program)[-2:] == ["done", "status 0"]


@sandbox.needed
def test_every_change_that_goes_on_is_told_with_what_it_is_about() -> None:
    look = sandbox.file("/mnt/look", look_program(Questions()))
    drain = sent("sleep 0.1; sh /mnt/look change", title="a", about="drain client")
    lines = sandbox.run(f"{look}{sent('sleep 30')} >/mnt/first &\n{until('[ -s /run/kubefab/change ]')}{drain}")
    told = [line.split(maxsplit=2)[2] for line in lines.splitlines() if line.startswith("change")]
    assert told == ["|swap is off", "drain client|a"]


@sandbox.needed
def test_a_second_change_is_refused_while_the_first_goes_on() -> None:
    first = f"{sent('echo begun; sleep 30')} >/mnt/first &\n{BEGUN}"
    ended = sandbox.run(f"{first}status=0\n{sent('echo no', title='other')} || status=$?\necho status $status")
    assert re.fullmatch(r"another change is under way here: swap is off\nstatus 75\n", ended)


@sandbox.needed
@pytest.mark.parametrize(
    ("about", "said"),
    [("drain client", "another change is under way here: swap is off\nstatus 75"), ("drain other", "no\nstatus 0")],
)
def test_a_change_of_the_cluster_excludes_those_of_its_own_subject_alone(about: str, said: str) -> None:
    first = f"{sent('echo begun; sleep 30', about='drain client')} >/mnt/first &\n"
    begun = until("grep -q begun /run/kubefab/about-*.log")
    second = f"status=0\n{sent('echo no', title='other', about=about)} || status=$?\necho status $status"
    assert sandbox.run(first + begun + second) == f"{said}\n"


@sandbox.needed
def test_a_long_change_says_from_time_to_time_what_it_said_last() -> None:
    program = "echo reading lists; sleep 1; echo done"
    lines = sandbox.run(f"export beat=0.1 mark=MARK\n{sent(program)}").splitlines()
    assert "MARK reading lists" in lines
    assert [line for line in lines if not line.startswith("MARK")] == ["reading lists", "done"]


def killed(program: str, payload: str, signal: str, about: str = "") -> str:
    """What the change leaves in /run/end, though its caller is killed as soon as it has begun."""
    file = "/run/kubefab/about-????????????????" if about else "/run/kubefab/change"
    free = f"flock -n {file} true"
    waiting = f"echo begun; while [ ! -e /mnt/go ]; do sleep 0.01; done; {program} >/run/end"
    called = (
        sent(waiting, payload, about=about).replace("\nsh -s", "\nsetsid sh -s") + " >/mnt/first 2>&1 &\ncaller=$!\n"
    )
    begun = until(f"grep -q begun {file}.log")
    goes_on = f"{free} && echo free || echo held\n"
    kill = f"{begun}kill -{signal} -$caller\nwait $caller || true\n{goes_on}touch /mnt/go\n"
    return sandbox.run(f"{called}{kill}{until(free)}cat /run/end")


@sandbox.needed
@pytest.mark.parametrize("about", ["", "drain client"])
@pytest.mark.parametrize("signal", ["KILL", "HUP", "TERM"])
def test_a_change_survives_its_caller(signal: str, about: str) -> None:
    assert killed("echo done", "", signal, about) == "held\ndone\n"


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


def locked(then: str, seconds: float = 90) -> str:
    """The lock is held by one who hears what is written to file 7; `take` tries to have it too."""
    program = f"({{ cat {SCRIPTS}/lock.sh; cat /mnt/beats; }} | sh -s -- 'me@desk, process 7' {seconds}) >/mnt/said &\n"
    take = f"take() {{ sh -s -- 'other' <{SCRIPTS}/lock.sh; }}\n"
    return sandbox.run(f"mkfifo /mnt/beats\n{program}exec 7>/mnt/beats\n{until('grep -q held /mnt/said')}{take}{then}")


@sandbox.needed
def test_a_lock_is_refused_to_all_others_and_names_its_holder() -> None:
    assert re.fullmatch(r"busy \d+ me@desk, process 7\n", locked("take"))


@sandbox.needed
def test_a_lock_goes_with_its_holders_standard_input() -> None:
    assert locked(f"exec 7>&-\n{until('flock -n /run/kubefab/run true')}take </dev/null").startswith("held\n")


@sandbox.needed
def test_a_lock_is_held_as_long_as_its_holder_is_heard_of() -> None:
    beats = "for beat in 1 2 3 4 5 6 7 8 9; do printf . >&7; sleep 0.2; done\n"
    assert locked(f"{beats}flock -n /run/kubefab/run true && echo free || echo held", 1.5) == "held\n"


@sandbox.needed
def test_a_lock_whose_holder_is_silent_is_free_again_though_nobody_hung_up() -> None:
    assert locked(f"sleep 0.4\n{until('flock -n /run/kubefab/run true')}echo free", 0.2) == "free\n"


@sandbox.needed
def test_a_holder_is_told_that_it_was_heard() -> None:
    assert (
        locked(f"printf .. >&7\n{until('[ $(grep -c heard /mnt/said) = 2 ]')}cat /mnt/said") == "held\nheard\nheard\n"
    )


@sandbox.needed
@pytest.mark.parametrize(
    ("why", "before"),
    [
        ("Read-only file system", "mount -o remount,ro /run\n"),
        (
            "No space left on device",
            "mkdir /run/kubefab; mount -t tmpfs -o size=4k x /run/kubefab\nhead -c 4096 /dev/zero >/run/kubefab/x\n",
        ),
    ],
)
def test_where_nothing_can_be_written_below_run_that_is_told(why: str, before: str) -> None:
    lock = f"sh -s -- other <{SCRIPTS}/lock.sh 2>/dev/null || true\n"
    ended = sandbox.run(f"{before}{lock}{sent('echo changed')} 2>&1 || true").splitlines()
    assert [line.endswith(why) for line in ended] == [True, True]
