# SPDX-License-Identifier: Apache-2.0
"""What is packed: an installed tree, made fit for other systems than the one that built it."""

import os
import pathlib
import re
import shutil
import subprocess

# The C library's own; each system has one, and a newer one runs what was built for an older.
SYSTEM = re.compile(r"^(ld-linux|libc\.so|libm\.so|libdl\.so|libpthread\.so|librt\.so|libresolv\.so|libutil\.so|libmvec\.so|linux-vdso)")
NEEDED_GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)")


class Failure(Exception):
    """What the user is told, without a traceback."""


def install(build, root, prefix, *components):
    """cmake --install of `components` into root/prefix, without debug information."""
    for component in components:
        done = subprocess.run(["cmake", "--install", str(build), "--prefix", prefix, "--component", component, "--strip"],
                              env=dict(os.environ, DESTDIR=str(root)), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure("cmake --install %s ended with status %d:\n%s" %
                          (build, done.returncode, (done.stdout + done.stderr)[-2000:]))


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def libraries_of(program):
    """{name: file} of the shared libraries that a program loads here, without the C library's."""
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    found = {}
    for line in listed.splitlines():
        match = re.match(r"\s*(\S+) => (\S+)", line)
        if not match or SYSTEM.match(match.group(1)):
            continue
        if not os.path.exists(match.group(2)):
            raise Failure("%s: %s is not found" % (program, match.group(1)))
        found[match.group(1)] = match.group(2)
    return found


def bring_libraries(prefix):
    """Copies the libraries of all programs in prefix/bin to prefix/lib/mimic and makes the programs, and their libraries' own
    libraries, come from there: one set of programs then runs on every system whose C library is new enough. Returns those
    programs."""
    folder = pathlib.Path(prefix) / "lib/mimic"
    folder.mkdir(parents=True, exist_ok=True)
    programs = [path for path in sorted((pathlib.Path(prefix) / "bin").iterdir()) if is_elf(path)]
    for program in programs:
        for name, here in libraries_of(program).items():
            if not (folder / name).exists():
                shutil.copyfile(here, folder / name)
                os.chmod(folder / name, 0o644)
                subprocess.run(["strip", "--strip-unneeded", str(folder / name)], check=True)
        # DT_RPATH, which libraries of libraries are looked up by, too; DT_RUNPATH is not.
        subprocess.run(["patchelf", "--force-rpath", "--set-rpath", "$ORIGIN/../lib/mimic", str(program)], check=True)
    return programs


def needed_glibc(prefix):
    """The C library that the programs and libraries ask for, such as "2.36"."""
    newest = (2, 0)
    for folder in ("bin", "lib/mimic"):
        for path in (pathlib.Path(prefix) / folder).iterdir():
            if is_elf(path):
                text = subprocess.run(["objdump", "-T", str(path)], capture_output=True, text=True, check=True).stdout
                newest = max([newest] + [tuple(map(int, found)) for found in NEEDED_GLIBC.findall(text)])
    return "%d.%d" % newest


def prepare_images(prefix, kernels, cache):
    """What guests boot, made here, so that nobody needs a compiler for it; and which packages of Debian it consists of."""
    images = pathlib.Path(prefix) / "share/mimic/images"
    images.mkdir(parents=True)
    program = pathlib.Path(prefix) / "bin/mimic"
    for kernel in kernels:
        done = subprocess.run([str(program), "prepare", str(images), "--kernel", kernel], check=False)
        if done.returncode != 0:
            raise Failure("mimic prepare --kernel %s ended with status %d" % (kernel, done.returncode))
    parts = [cache / "kernels" / kernel / "packages" for kernel in kernels] + [cache / "guest/packages"]
    text = "vmlinux-* and initrd-* are made of these packages of Debian, whose sources Debian has, and of\n" \
           "share/mimic/kernel and share/mimic/guest.\n\n"
    for part in parts:
        if part.exists():
            text += part.read_text()
    (images / "PACKAGES").write_text(text)
