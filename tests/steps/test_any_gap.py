"""Whatever a host printed and was understood: no gap of any step breaks by it."""

from contextlib import suppress
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from kubefab.errors import HostError
from kubefab.facts import Facts, parse, parse_cluster
from tests.fakes import looked
from tests.steps.test_gaps import ALL, DOCKER, every_step
from tests.test_any_look import WHOLE, quickly, spoilt

STEPS = [step for text in (ALL, DOCKER) for _, step in every_step(looked({"manager": {}, "client": {}}, text))]


def facts_of(texts: dict[str, str]) -> Facts:
    live = parse_cluster(texts["cluster"])
    found = Facts("manager", parse({"api": "ok", **texts}), live and replace(live, speaker="manager"))
    return replace(found, others={"client": found})


@settings(quickly, max_examples=60)
@given(data=st.data())
def test_what_was_understood_breaks_no_gap(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(WHOLE)))
    body = data.draw(spoilt(WHOLE[name])).decode(errors="replace")
    with suppress(HostError):
        facts = facts_of({**WHOLE, name: body})
        for step in STEPS:
            with suppress(HostError):
                step.gap(facts)
