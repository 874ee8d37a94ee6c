# SPDX-License-Identifier: Apache-2.0
"""Registers of a device by name, as they were at one look."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Tuple


@dataclass(frozen=True)
class Register:
    """A register. place: its capability ("PCI Express") or BAR ("BAR0"); offset: bytes in it; width: bits; fields: by name."""

    name: str
    place: str
    offset: int
    width: int
    value: int
    doc: str
    fields: Mapping[str, int] = field(default_factory=dict)


class Registers:
    """What `GET .../registers` said: `registers["COMMAND"]`, `registers["BAR0.STATUS"]`, `registers["COMMAND.BUS_MASTER"]`.

    Registers of BARs begin with `BAR<n>.`; a name that several capabilities have needs its own in front, with a slash:
    `registers["Power Management/CONTROL"]`. Values are integers; an unknown name is a KeyError with the nearest ones.
    """

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.device = str(answer["device"])
        self.time_ns = int(answer["time_ns"])
        self._registers: List[Tuple[str, Register]] = list(_registers(answer))
        self._index: Dict[str, List[int]] = {}
        for name, register in self._registers:
            for key in (name, f"{register.place}/{register.name}"):
                self._note(key, register.value)
                for part, value in register.fields.items():
                    self._note(f"{key}.{part}", value)

    def _note(self, key: str, value: int) -> None:
        self._index.setdefault(key, []).append(value)

    def __getitem__(self, name: str) -> int:
        values = self._index.get(name)
        if values is None:
            near = difflib.get_close_matches(name, self._index, 3, 0.5)
            raise KeyError(f"{self.device} has no register {name}" + (f"; did you mean {', '.join(near)}?" if near else ""))
        if len(values) > 1:
            base = name.split(".")[0]
            which = sorted({f"{register.place}/{base}" for _, register in self._registers if register.name == base})
            raise KeyError(f"{self.device} has several registers {name}; say which: {', '.join(which)}")
        return values[0]

    def __contains__(self, name: str) -> bool:
        return name in self._index

    def __iter__(self) -> Iterator[Register]:
        return (register for _, register in self._registers)

    def __len__(self) -> int:
        return len(self._registers)


def _registers(answer: Mapping[str, Any]) -> Iterator[Tuple[str, Register]]:
    for section in answer.get("config", {}).get("sections", []):
        for raw in section["registers"]:
            yield raw["name"], _register(raw, section["name"])
    for bar in answer.get("bars", []):
        place = f"BAR{bar['bar']}"
        for part in bar["maps"]:
            for raw in part["registers"]:
                yield f"{place}.{raw['name']}", _register(raw, place)
    for part in answer.get("state", []):  # of a vhost-user device
        for raw in part["registers"]:
            yield raw["name"], _register(raw, part["name"])


def _register(raw: Mapping[str, Any], place: str) -> Register:
    fields = {part["name"]: int(part["value"], 16) for part in raw["fields"]}
    return Register(raw["name"], place, int(raw["offset"], 16), int(raw["width"]), int(raw["value"], 16), raw["doc"], fields)
