#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The mediator at full rate, with good clients and bad ones beside each other: every request has an answer, the right one, and
what the mediator and its backends hold does not grow. Memory is looked at once all have worked for a fifth of the time: by
then each pool and cache has the size that it keeps."""
import argparse
import contextlib
import os
import signal
import socket
import struct
import sys
import tempfile
import threading
import time

from mediator import Mediator, begin, ended, rss_kib

FILE = """version: 1
mediator:
  socket: {folder}/m.sock
  run_folder: {folder}/run
  quarantine: {faults: 0}
  message_timeout: 1s
  session_patience: 1s
  max_connections: 64
pools:
  - {id: A, backends: [{kind: cpu, threads: 1}, {kind: cpu, threads: 1}]}
others: {weight: 50, limits: {memory_bytes: 64M}}
"""
# A sanitizer keeps freed memory for a while, and gives none back: as little as it can here.
SANITIZERS = "quarantine_size_mb=1:thread_local_quarantine_size_kb=64:malloc_context_size=2:allocator_release_to_os_interval_ms=500"
HELLO = struct.pack("<IIIIcBHI", 0x56475055, 0x40, 77, 1, b"A", 1, 0, 40)
GROWTH_KIB = 6 * 1024  # and a twentieth; what leaks at full rate is a hundred times that


def bad_clients(path, over):
    """One after the other: garbage, half a message, a hello and then nothing, answers that nobody reads, an abrupt end."""
    request = struct.pack("<IIIIcBHI", 0x56475055, 3, 77, 1, b"A", 1, 0, 0)  # PING
    kind = 0
    slow = []
    while not over.is_set():
        kind = (kind + 1) % 5
        try:
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            peer.settimeout(2)
            peer.connect(path)
            if kind == 0:
                peer.sendall(os.urandom(4096))
            elif kind == 1:
                peer.sendall(HELLO[:11])
                slow.append(peer)
                continue
            elif kind == 2:
                peer.sendall(HELLO)
                slow.append(peer)
                continue
            elif kind == 3:
                peer.sendall(request * 64)
            else:
                peer.sendall(HELLO + bytes(40))
            peer.close()
        except OSError:
            pass  # refused, or the mediator hung up: its right
        finally:
            while len(slow) > 8:
                slow.pop(0).close()
        time.sleep(0.002)
    for peer in slow:
        peer.close()


def watch(mediator, seconds):
    """Largest memory in KiB of each process, in the first part behind the warm-up and in the last part."""
    begin = time.monotonic()
    early, late = {}, {}
    # Each part has a look, however long this process stood still.
    while (passed := time.monotonic() - begin) < seconds or not late:
        if mediator.process.poll() is not None:
            raise AssertionError(f"the mediator ended with {mediator.process.returncode}: {mediator.log()}")
        part = None if passed < 0.2 * seconds else early if passed < 0.6 * seconds or not early else late
        if part is not None:
            for pid in [mediator.process.pid, *(one["pid"] for one in mediator.backends())]:
                part[pid] = max(part.get(pid, 0), rss_kib(pid))
        time.sleep(min(0.25, seconds / 100))
    return early, late


def run(options, folder):
    sanitizers = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), SANITIZERS]))
    mediator = Mediator(options.mediator, folder, FILE, dict(os.environ, ASAN_OPTIONS=sanitizers))
    mediator.start()
    over = threading.Event()
    loads = {}
    try:
        mediator.wait_until(mediator.is_ready, "its backends")
        longer = f"{options.seconds + 60:.0f}s"  # they are told when to end
        loads["many"] = begin(options.load, "--socket", mediator.socket, "--time", longer, "--json",
                              "--vm", "1,depth=64,job=nop", "--vm", "4,depth=128,job=spin:200us")
        for vm, job, depth in ((2, "memory", 16), (3, "broken", 8)):
            loads[job] = begin(options.checked, "--socket", mediator.socket, "--vm", vm, "--job", job, "--depth", depth)
        bad = threading.Thread(target=bad_clients, args=(mediator.socket, over))
        bad.start()
        early, late = watch(mediator, options.seconds)
        over.set()
        bad.join()
        for process in loads.values():
            process.send_signal(signal.SIGTERM)
        results = {name: ended(process) for name, process in loads.items()}
    finally:
        over.set()
        for process in loads.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        mediator.stop()
    return judge(results, early, late)


def judge(results, early, late):
    failures = 0
    for name, (result, status) in results.items():
        print(f"{name}: {result}")
        parts = result.get("vms", [result])
        if status != 0 or any(one.get("done", one.get("answered")) == 0 for one in parts):
            print(f"FAILED: {name}: exit status {status}")
            failures += 1
    for pid, most in late.items():
        if pid not in early:
            print(f"FAILED: process {pid} is new: a backend died")
            failures += 1
            continue
        print(f"memory of process {pid}: {early[pid]} KiB, later {most} KiB")
        if most > early[pid] * 1.05 + GROWTH_KIB:
            print("FAILED: it grows")
            failures += 1
    if len(late) < 3:
        print(f"FAILED: expected a mediator and two backends, saw {len(late)} processes")
        failures += 1
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mediator", required=True)
    parser.add_argument("--load", required=True, help="mimic-mediator-load")
    parser.add_argument("--checked", required=True, help="checked_vm")
    parser.add_argument("--seconds", type=float, default=20)
    with tempfile.TemporaryDirectory(prefix="mload-") as folder:
        return run(parser.parse_args(), folder)


if __name__ == "__main__":
    sys.exit(main())
