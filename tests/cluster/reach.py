# SPDX-License-Identifier: Apache-2.0
"""Clients of Kubernetes that reach nobody for a while."""
import time

# What they say when the API server or a kubelet stood still (client-go waits 10 s for a TLS handshake) or is not there yet.
UNREACHED = ("TLS handshake timeout", "connection refused", "connection reset by peer", "i/o timeout", "error dialing backend",
             "etcdserver: request timed out")


def patiently(ask):
    """What ask() returns, a subprocess.CompletedProcess of a command that may be repeated: asked up to 30 times, a second apart,
    while it fails with one of UNREACHED."""
    for _ in range(30):
        done = ask()
        if done.returncode == 0 or not any(text in done.stderr for text in UNREACHED):
            break
        time.sleep(1)
    return done
