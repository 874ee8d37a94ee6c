# SPDX-License-Identifier: Apache-2.0
"""Tests on machines that Mimic makes: boot a topology file, run commands in its guest, inject faults, record traces.

    from mimic_test import Lab

    with Lab() as lab:
        box = lab.up("box.yaml")["box"]
        with box.fault("gpu0", "irq-lost"):
            assert box.exec("my-test", check=False).status == 1

Under pytest the fixture `mimic_machine` does the first two lines (mimic_test.plugin). Standard library only; Python 3.9 or newer.
"""

from .api import ControlApi
from .command import find_mimic
from .errors import (ApiError, BootError, ExecError, ExecTimeout, MachineEnded, MimicError, MimicNotFound, VerifyError,
                     WaitTimeout)
from .faults import Fault
from .lab import Lab
from .machine import ExecResult, Machine
from .registers import Register, Registers
from .trace import Event, Events, Recording, read_trace
from .waiting import wait_for

__all__ = [
    "ApiError", "BootError", "ControlApi", "Event", "Events", "ExecError", "ExecResult", "ExecTimeout", "Fault", "Lab",
    "Machine", "MachineEnded", "MimicError", "MimicNotFound", "Recording", "Register", "Registers", "VerifyError",
    "WaitTimeout", "find_mimic", "read_trace", "wait_for",
]
