#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""supervise.py MIMIC FOLDER STATE < MORE: what `mimic up` does last, without a guest. Writes FOLDER/launch.json, whose values
are those here and the members of the JSON object MORE, runs the supervisor of that folder and releases it once it has
started all. Ends with it."""
import fcntl
import json
import os
import socket
import sys


def main():
    mimic, folder, state = sys.argv[1:]
    none = {"pid": 0, "start_time": 0}
    plan = {"state": {"name": os.path.basename(folder), "phase": "starting", "file": "/none.yaml", "accel": "tcg", "kernel": "6.1",
                      "started": "", "functions": 4, "ssh_port": 0, "supervisor": none, "qemu": none, "device_hosts": []},
            "state_dir": state, "qmp_socket": folder + "/qmp.sock", "device_hosts": [],
            "qemu": ["sleep", "600"], "shut_down_guest": False, "temporary_files": []}
    plan.update(json.load(sys.stdin))
    with open(folder + "/launch.json", "w", encoding="utf-8") as file:
        json.dump(plan, file)
    lock = os.open(folder + "/lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    ours, theirs = socket.socketpair()
    first, second = os.dup(lock), os.dup(theirs.fileno())
    keep = fcntl.fcntl(ours.fileno(), fcntl.F_DUPFD, 20)
    lock, theirs_fd = fcntl.fcntl(first, fcntl.F_DUPFD, 20), fcntl.fcntl(second, fcntl.F_DUPFD, 20)
    if os.fork() == 0:
        os.dup2(lock, 3)
        os.dup2(theirs_fd, 4)
        os.closerange(5, 64)
        os.execv(mimic, [mimic, "supervise", folder])
    os.read(keep, 1000)
    os.write(keep, b"release\n")
    os.wait()


if __name__ == "__main__":
    main()
