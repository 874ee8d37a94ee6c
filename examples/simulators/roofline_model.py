# SPDX-License-Identifier: Apache-2.0
"""A device model that is a function: an accelerator with a roofline.

Serve it:            PYTHONPATH=integrations/python python3 -m mimic_sim --socket /tmp/sst.sock \\
                         examples/simulators/roofline_model.py:latency
In a topology file:  simulator: {command: [python3, -m, mimic_sim, --socket, "{socket}", FILE.py:latency]}
"""

PEAK = 1e12  # operations a second
BANDWIDTH = 100e9  # bytes a second
LAUNCH = 5_000  # ns, of each COMPUTE
OPERATIONS_PER_UNIT = 1e6  # for a guest that says compute units only
BYTES_PER_UNIT = 1e5


def latency(work):
    """Simulated ns: a launch, then the longer of what the arithmetic and what the memory needs."""
    operations = work.operations or work.units * OPERATIONS_PER_UNIT
    moved = work.bytes or work.units * BYTES_PER_UNIT
    return LAUNCH + max(operations / PEAK, moved / BANDWIDTH) * 1e9
