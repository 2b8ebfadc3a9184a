"""Look until it is so: nothing here sleeps a fixed time and hopes."""

from collections.abc import Callable

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed


def until(holds: Callable[[], bool], seconds: float) -> bool:
    """Whether it came true in that time."""
    look = Retrying(retry=retry_if_result(lambda held: not held), stop=stop_after_delay(seconds), wait=wait_fixed(0.05))
    try:
        return look(holds)
    except RetryError:
        return False
