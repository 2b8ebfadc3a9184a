"""To look again and again, until nothing has moved for too long."""

from collections.abc import Callable
from dataclasses import dataclass

import tenacity

from kubefab.errors import Silent

LONGEST = 10  # times the time of a wait, however much moves meanwhile
LONGEST_PAUSE = 5.0  # seconds between looks, however slow they are
Look = Callable[[], str | None]


@dataclass(frozen=True)
class Waiting:
    """A wait that ends once nothing has moved for `within` seconds. What moves is `progress`, its highest so far.

    A pause is at least as long as the look before it took: a machine so slow that looks are work has its own to do.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    within: float
    pause: float  # seconds between quick looks
    progress: Callable[[], int] = lambda: 0

    def until_none(self, look: Look) -> str | None:
        """Waits until there is no gap any more; what the last look said."""
        return self._looking(look, tenacity.retry_if_result(bool))

    def until_told(self, look: Look) -> str | None:
        """Waits until the API server answers; what the last look said. Silent where it still does not."""
        return self._looking(look, tenacity.retry_if_exception_type(Silent))

    def _looking(self, look: Look, retry: tenacity.retry_base) -> str | None:
        began = moved = self.clock()
        most = self.progress()
        took = 0.0

        def timed() -> str | None:
            nonlocal took
            since = self.clock()
            try:
                return look()
            finally:
                took = self.clock() - since

        def over(_: tenacity.RetryCallState) -> bool:
            nonlocal moved, most
            now, done = self.clock(), self.progress()
            if done > most:
                moved, most = now, done
            return now - moved >= self.within or now - began >= LONGEST * self.within

        polling = tenacity.Retrying(
            retry=retry,
            stop=over,
            wait=lambda _: max(self.pause, min(took, LONGEST_PAUSE)),
            sleep=self.sleep,
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        return polling(timed)
