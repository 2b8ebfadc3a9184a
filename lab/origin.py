"""Where a lab's Kubernetes comes from: it is built from source, or the internet has it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from lab.settings import LabError

FROM = "LAB_FROM"
SOURCE, INTERNET = "source", "internet"
OTHER = {SOURCE: INTERNET, INTERNET: SOURCE}


@dataclass(frozen=True)
class Origin:
    """One of the two, and why it is that one."""

    name: str
    why: str

    @property
    def internet(self) -> bool:
        return self.name == INTERNET

    def __str__(self) -> str:
        return f"Kubernetes comes from {'the internet' if self.internet else 'source'}: {self.why}"


def told() -> str:
    """What LAB_FROM says; "" where it says nothing. LabError for any other word."""
    word = os.environ.get(FROM, "")
    if word not in ("", SOURCE, INTERNET):
        raise LabError(f"{FROM} may be {SOURCE} or {INTERNET}, not {word}; without it the internet is asked")
    return word


def settled(told: str, before: str, only_built: str, built: bool) -> Origin | None:
    """What needs nobody's answer; None where the internet has to be asked.

    `before`: where this lab's Kubernetes came from so far, "" for a new lab. `only_built`: an option that asks for what
    is never taken from the internet, or "". `built`: all parts that a build would make are there. What was decided once
    stays, whoever answers today: a cluster shall not change its sources because a cable was pulled.
    """
    if told == INTERNET and only_built:
        raise LabError(f"{FROM}={INTERNET} builds nothing, and {only_built} is always built: leave one of them out")
    if told:
        return Origin(told, f"{FROM} says so")
    if only_built:
        return Origin(SOURCE, f"{only_built} is always built")
    if before:
        return Origin(before, f"so it was when this lab was made ({FROM}={OTHER[before]} changes it)")
    if built:
        return Origin(SOURCE, f"it is built already ({FROM}={INTERNET} takes it from there)")
    return None


def answered(answers: Mapping[str, str]) -> Origin:
    """By each name, why it is silent, or "" for an answer: all of them, or none is good enough."""
    silent = "; ".join(f"{name} ({why})" for name, why in answers.items() if why)
    if silent:
        return Origin(SOURCE, f"not all of the internet is at hand: {silent}")
    return Origin(INTERNET, f"{', '.join(answers)} answer")
