# SPDX-License-Identifier: Apache-2.0
"""A client of Mimic's control API (docs/openapi/control-v1.json), as `mimic api` serves it on a port of 127.0.0.1."""

from __future__ import annotations

import http.client
import json
import select
import subprocess
import tempfile
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union
from urllib.parse import quote, urlencode

from .command import Command, end, text
from .errors import ApiError, MimicError

_STARTS = 120.0   # s; a busy host
_ANSWERS = 60.0   # s; the API itself gives up on a process sooner
_LONGEST = 64 << 20  # bytes of an answer; the API's own are far below

Query = Sequence[Tuple[str, Union[str, int]]]


class ControlApi:
    """A `mimic api` of our own, and questions to it. Not for several threads at once.

    It ends with close(), and also when this process ends in any way: it watches a pipe that only we hold.
    """

    def __init__(self, command: Command) -> None:
        # A file, for a pipe that nobody reads would hold it up.
        self._log = tempfile.TemporaryFile(prefix="mimic-api-")
        self._process = command.start(["api", "--until-eof"], stdout=subprocess.PIPE, stderr=self._log.fileno())
        try:
            self._port, self._token = self._read_address()
        except BaseException:
            self.close()
            raise

    def _read_address(self) -> Tuple[int, str]:
        assert self._process.stdout is not None
        line = b""
        deadline = time.monotonic() + _STARTS
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            more = self._process.stdout.read(4096) if ready else b""
            if not more:
                end(self._process)
                self._log.seek(0)
                raise MimicError(f"`mimic api` does not serve: {text(self._log.read()).strip() or 'it said nothing'}")
            line += more
        try:
            # http://127.0.0.1:41529  Authorization: Bearer 5d1c...
            address, _, _, token = text(line).split()
            return int(address.rsplit(":", 1)[1]), token
        except (ValueError, IndexError):
            raise MimicError(f"`mimic api` said {text(line).strip()!r}, not where it serves") from None

    def close(self) -> None:
        """Ends it. May be called again."""
        end(self._process)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    @property
    def alive(self) -> bool:
        """Whether it still serves."""
        return self._process.poll() is None

    def request(self, method: str, path: str, body: Optional[Mapping[str, Any]] = None, query: Query = ()) -> bytes:
        """The bytes of an answer. Raises ApiError for any that is not 2xx, and if there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWERS)
        headers = {"Authorization": f"Bearer {self._token}"}
        data: Optional[bytes] = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path + ("?" + urlencode(query) if query else ""), data, headers)
            response = connection.getresponse()
            answer = response.read(_LONGEST)
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(0, "unreachable", f"{method} {path}: no answer of `mimic api`: {error}") from None
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise _refusal(response.status, answer, f"{method} {path}")
        return answer

    def json(self, method: str, path: str, body: Optional[Mapping[str, Any]] = None, query: Query = ()) -> Dict[str, Any]:
        """An answer that is a JSON object. Raises ApiError."""
        answer = self.request(method, path, body, query)
        try:
            value = json.loads(answer)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ApiError(200, "bad_json", f"{method} {path}: the answer is no JSON object")
        return value

    def machines(self) -> List[Dict[str, Any]]:
        """All machines of the run folder, as `GET /v1/machines` has them."""
        return list(self.json("GET", "/v1/machines").get("machines", []))


def machine_path(machine: str, *parts: str) -> str:
    """The path of something of a machine. Raises ApiError for a name that would be more than one part of it."""
    for part in (machine, *parts):
        if "/" in part or part in ("", ".", ".."):
            raise ApiError(404, "not_found", f"{part!r} is no name of a machine, device or resource")
    return "/v1/machines/" + "/".join(quote(part, safe="") for part in (machine, *parts))


def _refusal(status: int, answer: bytes, what: str) -> ApiError:
    try:
        error = json.loads(answer)["error"]
        return ApiError(status, str(error["code"]), str(error["message"]), [str(name) for name in error["nearest"]])
    except (ValueError, KeyError, TypeError):
        return ApiError(status, "unknown", f"{what}: HTTP {status}: {text(answer[:500])}")
