# SPDX-License-Identifier: Apache-2.0
"""What may go wrong. All of it is a MimicError, and none of it an AssertionError: a test that fails by one of these could not
ask its question; VerifyError alone is an answer."""

from __future__ import annotations

from typing import Any, List, Sequence


def printable(said: str) -> str:
    """What a guest said, fit for a terminal: no byte of it moves the cursor, or makes the terminal answer."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in said)


class MimicError(Exception):
    """Mimic could not do what was asked; the text says why."""


class MimicNotFound(MimicError):
    """There is no `mimic` to run."""


class BootError(MimicError):
    """A machine did not come up; the text has the last lines of its console."""


class MachineEnded(MimicError):
    """The machine does not run any more; the text says why it ended."""


class ApiError(MimicError):
    """The control API refused a request.

    status: of HTTP; 0 if there was no answer. code: one of the API document's (`unknown_device`, `not_possible`, ...).
    nearest: names that may have been meant.
    """

    def __init__(self, status: int, code: str, message: str, nearest: Sequence[str] = ()) -> None:
        hint = f" (did you mean {', '.join(nearest)}?)" if nearest and "did you mean" not in message else ""
        super().__init__(message + hint)
        self.status = status
        self.code = code
        self.message = message
        self.nearest = list(nearest)


class ExecError(MimicError):
    """A command in the guest failed; `result` is what came of it."""

    def __init__(self, result: Any) -> None:
        self.result = result
        lines: List[str] = [f"`{' '.join(result.argv)}` ended with {result.status}"]
        for name, data in (("stdout", result.stdout), ("stderr", result.stderr)):
            said = printable(data.decode("utf-8", "replace").rstrip())
            if said:
                lines.append(f"{name}: {said[-4000:]}")
        super().__init__("\n".join(lines))


class ExecTimeout(MimicError):
    """A command in the guest did not end in time. It may still run there."""


class WaitTimeout(MimicError, TimeoutError):
    """What was waited for did not come about in time."""


class VerifyError(MimicError, AssertionError):
    """The guest is not what the file says; the text is the table of `mimic verify`."""
