# SPDX-License-Identifier: Apache-2.0
"""Several accelerators whose requests contend for the same compute units: /dev/sst0, /dev/sst1, .. of one guest, or of
several. With MPI (mpirun -n 2 sst ...) devices and units may be on different ranks; each socket is on its device's.

    sst --add-lib-path integrations/sst/build examples/sst/linux_multi.py -- --devices 4
"""

import argparse

import sst

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--devices", type=int, default=4)
parser.add_argument("--socket", default="/tmp/qemu-sst-device{}.sock", help="{} is the device's number")
parser.add_argument("--sessions", default="0", help="end when each device has had so many clients; 0: never")
parser.add_argument("--units", default="2", help="COMPUTEs at the same time, of all devices")
arguments = parser.parse_args()

compute = sst.Component("compute", "mimic.ComputeDevice")
# One entry for each latency_model: Linux SST's llama example has attention, feed-forward, embedding.
compute.addParams({"clock": "1GHz", "units": arguments.units, "cycles_per_unit": "[1000, 500, 100]"})
compute.enableAllStatistics()

for number in range(arguments.devices):
    device = sst.Component("sst%d" % number, "mimic.VirtIODevice")
    device.addParams({
        "socket_path": arguments.socket.format(number),
        "device_id": str(number),
        "clock": "1GHz",
        "sessions": arguments.sessions,
        # One device that waits for its client must not hold up the others.
        "idle_wait": "0" if arguments.devices > 1 else "1000",
    })
    device.enableAllStatistics()
    link = sst.Link("link%d" % number)
    link.connect((device, "compute_port", "10ns"), (compute, "device_port%d" % number, "10ns"))

sst.setStatisticLoadLevel(1)
sst.setStatisticOutput("sst.statOutputConsole")
