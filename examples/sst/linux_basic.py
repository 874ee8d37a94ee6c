# SPDX-License-Identifier: Apache-2.0
"""One accelerator in SST, for one guest: /dev/sst0 of a machine of Mimic, or of a QEMU with Linux SST's device.

    make -C integrations/sst
    sst --add-lib-path integrations/sst/build examples/sst/linux_basic.py -- --sessions 1
    mimic-sim ping /tmp/qemu-sst-linux.sock        # or a topology file with simulator: {socket: ...}
"""

import argparse

import sst

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--socket", default="/tmp/qemu-sst-linux.sock")
parser.add_argument("--sessions", default="0", help="end after so many clients; 0: never")
parser.add_argument("--units", default="4", help="COMPUTEs at the same time")
parser.add_argument("--cycles-per-unit", default="100")
arguments = parser.parse_args()

device = sst.Component("sst0", "mimic.VirtIODevice")
device.addParams({
    "socket_path": arguments.socket,
    "device_id": "0",
    "clock": "1GHz",
    "verbose": "1",
    "sessions": arguments.sessions,
})

compute = sst.Component("compute0", "mimic.ComputeDevice")
compute.addParams({"clock": "1GHz", "units": arguments.units, "cycles_per_unit": arguments.cycles_per_unit})

link = sst.Link("device_compute")
link.connect((device, "compute_port", "5ns"), (compute, "device_port0", "5ns"))

sst.setStatisticLoadLevel(1)
sst.setStatisticOutput("sst.statOutputConsole")
device.enableAllStatistics()
compute.enableAllStatistics()
