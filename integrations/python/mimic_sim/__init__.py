# SPDX-License-Identifier: Apache-2.0
"""Mimic's simulator protocol: a function or a class of yours as device model, and a client. Standard library only.

    import mimic_sim

    def latency(work):                 # simulated ns that a COMPUTE takes
        return 500 + 3 * work.units

    mimic_sim.serve(latency, "/tmp/sst.sock")

The same from a command line, which a topology's `simulator: command:` starts:

    python3 -m mimic_sim --socket /tmp/sst.sock my_model.py:latency
"""

from .client import Client, Gone
from .device import Device, Invalid, Memory, Work
from .protocol import Param, Request, Response, Status, Type
from .server import Server

__all__ = [
    "Client", "Device", "Gone", "Invalid", "Memory", "Param", "Request", "Response", "Server", "Status", "Type",
    "Work", "serve",
]


def serve(model, path, pace="fast", scale=1.0, until=None, **settings):
    """Serves `model`: a Device, or a function of Work that returns ns (`settings` are then those of Device)."""
    device = model if isinstance(model, Device) else Device(function=model, **settings)
    with Server(device, path, pace, scale) as server:
        server.serve(until)
