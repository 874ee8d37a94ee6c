#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""no_cuda_test.py MEDIATOR LOAD: where there is no CUDA, its backend says so, requests to its pool fail with POOL, and the
mediator and its other pools work."""
import ctypes
import sys
import tempfile

from mediator import Mediator, begin, ended

FILE = """version: 1
mediator: {socket: {folder}/m.sock, run_folder: {folder}/run}
pools:
  - {id: A, backends: [{kind: cuda}]}
  - {id: B, backends: [{kind: cpu}]}
others: {}
"""
POOL_ERROR = "6"


def pools(mediator):
    return {pool["id"]: pool for pool in mediator.ask("GET", "/v1/mediator/pools")["pools"]}


def ask(load, mediator, pool):
    return ended(begin(load, "--socket", mediator.socket, "--time", "60s", "--requests", 5, "--json", "--vm",
                       f"1,pool={pool},job=sum"))


def main():
    program, load = sys.argv[1:3]
    try:
        ctypes.CDLL("libcuda.so.1")
        print("SKIP: there is a libcuda here")
        return 77
    except OSError:
        pass
    with tempfile.TemporaryDirectory(prefix="mcuda-") as folder:
        mediator = Mediator(program, folder, FILE)
        mediator.start()
        try:
            mediator.wait_until(mediator.answers, "its control socket")
            mediator.wait_until(lambda: pools(mediator)["B"]["backends"][0]["ready"], "the cpu backend")
            mediator.wait_until(lambda: "libcuda" in pools(mediator)["A"]["backends"][0]["what"], "why there is no CUDA")
            backend = pools(mediator)["A"]["backends"][0]
            print(f"cuda backend: {backend['what']}")
            result, status = ask(load, mediator, "A")
            if backend["ready"] or status == 0 or set(result["vms"][0]["failed"]) != {POOL_ERROR}:
                print(f"FAILED: expected error {POOL_ERROR} of pool A: {result}, {backend}")
                return 1
            result, status = ask(load, mediator, "B")
            if status != 0 or result["vms"][0]["done"] != 5:
                print(f"FAILED: pool B: {result}")
                return 1
        finally:
            mediator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
