# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition, instead of for a time."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

from .errors import WaitTimeout

T = TypeVar("T")

# A guest with an emulated CPU on a busy host of CI may stand still for many seconds.
DEFAULT_TIMEOUT = 120.0


def wait_for(condition: Callable[[], T], timeout: float = DEFAULT_TIMEOUT, interval: float = 0.1, what: str = "") -> T:
    """Calls `condition` until it returns something true, and returns that.

    timeout, interval: seconds; `condition` is called once at least, and once more after a last pause. what: said in the
    WaitTimeout that is raised. What `condition` raises is not caught.
    """
    deadline = time.monotonic() + timeout
    while True:
        late = time.monotonic() >= deadline
        value = condition()
        if value:
            return value
        if late:
            name = what or getattr(condition, "__name__", "the condition")
            raise WaitTimeout(f"{name}: still {value!r} after {timeout:g} s")
        time.sleep(max(0.0, min(interval, deadline - time.monotonic())))
