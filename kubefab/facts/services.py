"""systemd's word on the services."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from kubefab.facts.part import Part, not_understood, pairs
from kubefab.questions import UNITS, asked


@dataclass(frozen=True)
class Unit:
    """A systemd unit; `since` is when it started, in seconds of the epoch, 0 where it did not."""

    active: str = "inactive"
    enabled: str = ""
    since: float = 0
    result: str = "success"
    changed: float = 0  # when it last started, stopped or was reloaded, in the same seconds


@dataclass(frozen=True)
class Services(Part):
    units: Mapping[str, Unit] = pairs("unit")

    def unit(self, name: str) -> Unit:
        """ValueError for one that no look asks of."""
        return self.units.get(asked(name, UNITS), Unit())

    @classmethod
    def read(cls, text: str) -> Self:
        """`systemctl show` of several units: a block of Name=value lines each, an empty one between."""
        units = {}
        for block in re.split(r"^unit ?$", text, flags=re.MULTILINE):
            said = [line.removeprefix("unit ") for line in block.split("\n")]
            values = dict(line.split("=", 1) for line in said if "=" in line)
            if name := values.get("Id"):
                units[name.removesuffix(".service")] = _unit(values)
        return cls(units)


def _unit(values: Mapping[str, str]) -> Unit:
    since, changed = (_epoch(values.get(f"{what}Timestamp", "")) for what in ("ActiveEnter", "StateChange"))
    state, enabled, result = (values.get(name, "") for name in ("ActiveState", "UnitFileState", "Result"))
    return Unit(state, enabled, since, result, changed)


def _epoch(stamp: str) -> float:
    """systemd's "Sun 2026-11-22 19:36:01.123456 UTC" in seconds of the epoch; 0 for none."""
    parts = stamp.split(" ")
    if len(parts) < 3:
        return 0
    form = "%Y-%m-%d %H:%M:%S.%f" if "." in parts[2] else "%Y-%m-%d %H:%M:%S"
    try:
        return datetime.strptime(" ".join(parts[1:3]), form).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise not_understood(Services.script(), stamp) from None
