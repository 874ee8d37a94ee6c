#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run_image.py ARCHIVE FOLDER WORD...: unpacks an image's layers into FOLDER and runs its entry point with WORDs there, as the
image's user and with its environment: what a container engine does, without one."""

import json
import os
import pathlib
import subprocess
import sys
import tarfile


def main():
    archive, folder, words = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
    with tarfile.open(archive) as outer:
        manifest = json.load(outer.extractfile("manifest.json"))[0]
        config = json.load(outer.extractfile(manifest["Config"]))["config"]
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                inner.extractall(folder)
    packages = folder / "packages"
    packages.mkdir()
    user, group = config["User"].split(":")
    script = packages / "enter"
    # The image has no shell: its own programs are all that it can run.
    order = {"env": config["Env"], "argv": config["Entrypoint"] + words, "user": int(user), "group": int(group)}
    script.write_text(json.dumps(order))
    enter = "\n".join((
        "import json, os, sys",
        "order = json.load(open(sys.argv[1] + '/packages/enter'))",
        "os.chroot(sys.argv[1]); os.chdir('/')",
        "os.setgroups([]); os.setgid(order['group']); os.setuid(order['user'])",
        "os.execve(order['argv'][0], order['argv'], dict(each.split('=', 1) for each in order['env']))"))
    mounts = 'mount --make-rprivate /; mount -t proc p "$1/proc"; mount -t tmpfs -o mode=755 dev "$1/dev"; mkdir -m 1777 "$1/dev/shm"; ' \
             'for each in null zero urandom random; do : >"$1/dev/$each"; mount --bind "/dev/$each" "$1/dev/$each"; done; ' \
             'ln -s /proc/self/fd "$1/dev/fd"; exec python3 -c "$2" "$1"'
    return subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", mounts, "sh", str(folder), enter],
                          check=False, env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1")).returncode


if __name__ == "__main__":
    sys.exit(main())
