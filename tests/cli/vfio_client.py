# SPDX-License-Identifier: Apache-2.0
"""A guest of few words: connects to the vfio-user socket of a function, writes bytes to its configuration space and
stays until standard input ends. usage: vfio_client.py SOCKET OFFSET HEX"""
import socket
import struct
import sys

VERSION, REGION_WRITE, CONFIG_REGION = 1, 10, 7


def ask(link, command, body):
    link.sendall(struct.pack("<HHIII", 1, command, 16 + len(body), 0, 0) + body)
    head = b""
    while len(head) < 16:
        head += link.recv(16 - len(head)) or sys.exit("the server hung up")
    size, error = struct.unpack_from("<I", head, 4)[0], struct.unpack_from("<I", head, 12)[0]
    left = size - 16
    while left > 0:
        left -= len(link.recv(left) or sys.exit("the server hung up"))
    if error:
        sys.exit(f"command {command}: errno {error}")


path, offset, data = sys.argv[1], int(sys.argv[2], 0), bytes.fromhex(sys.argv[3])
with socket.socket(socket.AF_UNIX) as server:
    server.connect(path)
    ask(server, VERSION, struct.pack("<HH", 0, 1) + b'{"capabilities":{}}\0')
    ask(server, REGION_WRITE, struct.pack("<QII", offset, CONFIG_REGION, len(data)) + data)
    print("written", flush=True)
    sys.stdin.read()
