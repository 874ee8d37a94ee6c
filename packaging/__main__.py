# SPDX-License-Identifier: Apache-2.0
"""Makes the packages of Mimic: .deb of mimic, libmimic-dev and mimic-dkms, a tarball and a container image.

tools/packages OUT [--build build/release] [--only deb,dev,dkms,tarball,image]

OUT becomes a folder of files whose names have the version. It runs on Debian 12 with what tools/setup packages installs; no root,
no container engine. The first run downloads a guest kernel (tools/debs), which goes into mimic's packages.
"""

import argparse
import datetime
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import deb
import stage

SOURCE = pathlib.Path(__file__).resolve().parent.parent
ALL = ("deb", "dev", "dkms", "tarball", "image")
PROGRAMS = ("mimic", "mimic-mediator", "mimic-mediator-load", "mimic-sim", "mock-accel-server")
BUNDLED = "one package is for several releases of Debian, whose libraries have other names (docs/install.md)"
GUESTS = "a guest's kernel, no program of this system"
OVERRIDES = [("custom-library-search-path", BUNDLED), ("embedded-library", BUNDLED), ("library-not-linked-against-libc", BUNDLED),
             ("shared-library-lacks-prerequisites", BUNDLED), ("arch-dependent-file-in-usr-share", GUESTS),
             ("statically-linked-binary", GUESTS)]


def version_of():
    """The project's version; of what is no release yet, with the day of its last commit, before that release in order."""
    text = (SOURCE / "CMakeLists.txt").read_text()
    version = re.search(r"^project\(mimic VERSION ([\d.]+)", text, re.M).group(1)
    newest = re.search(r"^## \[([^\]]+)\]", (SOURCE / "CHANGELOG.md").read_text(), re.M).group(1)
    if newest == version:
        return version
    day = subprocess.run(["git", "-C", str(SOURCE), "log", "-1", "--format=%cd", "--date=format:%Y%m%d"],
                         capture_output=True, text=True, check=False).stdout.strip()
    return "%s~%s" % (version, day or datetime.date.today().strftime("%Y%m%d"))


def os_release(key):
    match = re.search(r'^%s="?([^"\n]*)"?$' % key, pathlib.Path("/etc/os-release").read_text(), re.M)
    return match.group(1) if match else ""


def cache():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(os.environ.get("MIMIC_CACHE") or os.path.join(home, "mimic"))


class Packages:
    def __init__(self, options, work):
        self.options, self.work = options, pathlib.Path(work)
        self.out = pathlib.Path(options.out).resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.version = version_of()
        self.architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()

    def place(self, name, end):
        """Where a package goes; those of other versions there go away."""
        for old in self.out.glob(name.replace(self.version, "[0-9]*") + end):
            old.unlink()
        return self.out / (name + end)

    def write(self, root, name, description, values=None, overrides=(), architecture="", **fields):
        fields = {"Package": name, "Version": self.version + "-1", "Architecture": architecture or self.architecture, "Section": "devel",
                  "Priority": "optional", **{key.replace("_", "-"): value for key, value in fields.items()},
                  "Description": description}
        self.place("%s_%s-1" % (name, self.version), "_*.deb")
        path = deb.build(root, self.out, fields, SOURCE / "CHANGELOG.md", values, overrides, self.options.quick)
        print("%s (%d KiB)" % (path, path.stat().st_size // 1024), flush=True)

    def runtime(self):
        """The installed tree of programs and data, with the libraries that it needs. Made once."""
        root = self.work / "runtime"
        if root.exists():
            return root
        stage.install(self.options.build, root, "/usr", "runtime", "data")
        missing = [name for name in PROGRAMS if not (root / "usr/bin" / name).exists()]
        if missing and not self.options.partial:
            raise stage.Failure("%s has not built %s: tools/build release installed" % (self.options.build, ", ".join(missing)))
        stage.bring_libraries(root / "usr")
        if self.options.kernel:
            stage.prepare_images(root / "usr", self.options.kernel, cache())
        return root

    def make_deb(self):
        root = self.work / "mimic"
        shutil.copytree(self.runtime(), root, symlinks=True)
        for page in (root / "usr/share/man").glob("man*/*.[18]"):
            deb.compress(page)
        # Debian's zsh looks here.
        zsh = root / "usr/share/zsh"
        if (zsh / "site-functions").exists():
            (zsh / "site-functions").rename(zsh / "vendor-completions")
        glibc = stage.needed_glibc(root / "usr")
        self.write(root, "mimic", "machines with accelerators that are not there\n"
                   " One YAML file describes a machine: NUMA nodes, root ports, accelerators, their\n"
                   " virtual functions. Mimic makes it real for a stock Linux in a stock QEMU, with\n"
                   " device models in user space behind vfio-user, injects faults by name, and\n"
                   " proves that the guest sees what the file says.\n"
                   " .\n"
                   " mimic doctor --install fetches a QEMU with vfio-user-pci, without root.",
                   {"GLIBC": glibc, "VERSION": self.version, "SUITE": os_release("PRETTY_NAME")}, OVERRIDES,
                   # Its version is asked for by preinst, which can say what to do.
                   Depends="libc6, debian-archive-keyring", Recommends="ca-certificates, python3",
                   Suggests="gcc, make, kmod, xz-utils, zstd, bash-completion")

    def make_dev(self):
        root = self.work / "dev"
        stage.install(self.options.build, root, "/usr", "devel")
        if not list(root.glob("usr/lib/libmimic_pci.a")):
            raise stage.Failure("%s has not built the libraries: tools/build release installed" % self.options.build)
        fmt = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libfmt-dev"], capture_output=True, text=True,
                             check=True).stdout.split(".")[0]
        self.write(root, "libmimic-dev", "devices of your own that Mimic serves: headers and static libraries\n"
                   " Libraries for PCI and virtio devices in user space: registers that are declared\n"
                   " once, functions with capabilities, MSI-X and SR-IOV, served over vfio-user and\n"
                   " vhost-user, with CMake and pkg-config files.",
                   {"VERSION": self.version, "SUITE": os_release("VERSION_CODENAME")},
                   [("pkg-config-unavailable-for-cross-compilation", "they are built for this architecture alone")], Section="libdevel",
                   Depends="libfmt-dev (>= %s), libexpected-dev" % fmt,
                   Recommends="nlohmann-json3-dev, libmicrohttpd-dev, libcurl4-openssl-dev, libyaml-cpp-dev",
                   Suggests="mimic (= %s-1)" % self.version)

    def make_dkms(self):
        root = self.work / "dkms"
        modules = []
        for conf in sorted(SOURCE.glob("kernel/*/dkms.conf")):
            values = dict(re.findall(r'^(\w+)="([^"]*)"', conf.read_text(), re.M))
            folder = root / "usr/src" / ("%s-%s" % (values["PACKAGE_NAME"], values["PACKAGE_VERSION"]))
            files = subprocess.run(["git", "-C", str(SOURCE), "ls-files", "-z", str(conf.parent.relative_to(SOURCE))],
                                   capture_output=True, text=True, check=True).stdout.split("\0")
            for file in (each for each in files if each and not os.path.basename(each).startswith(".")):
                there = folder / pathlib.Path(file).relative_to(conf.parent.relative_to(SOURCE))
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(SOURCE / file, there)  # a link to kernel/common becomes the file
            modules.append("%s=%s" % (values["PACKAGE_NAME"], values["PACKAGE_VERSION"]))
        names = ", ".join(each.split("=")[0] for each in modules)
        self.write(root, "mimic-dkms", "kernel modules of Mimic's devices (DKMS)\n"
                   " Sources of %s,\n"
                   " which DKMS builds for each installed kernel whose headers are there. Guests\n"
                   " that Mimic boots need none of them: they bring their own." % names,
                   {"MODULES": " ".join(modules)}, Section="kernel", architecture="all",
                   Depends="dkms", Suggests="mimic (= %s-1)" % self.version)

    def make_tarball(self):
        name = "mimic-%s-linux-%s" % (self.version, os.uname().machine)
        root = self.work / name
        shutil.copytree(self.runtime() / "usr", root, symlinks=True)
        shutil.copy(SOURCE / "LICENSE", root)
        deb.set_modes(root)
        path = self.place(name, ".tar.xz")
        when = "@%s" % os.environ.get("SOURCE_DATE_EPOCH", "0")
        subprocess.run(["tar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime", when, "-C", str(self.work),
                        "-I", "xz -T0 %s" % ("-0" if self.options.quick else "-6"), "-cf", str(path), name], check=True)
        print("%s (%d KiB)" % (path, path.stat().st_size // 1024), flush=True)

    def make_image(self):
        path = self.place("mimic-%s" % self.version, "-oci.tar")
        command = [str(SOURCE / "tools/machine_image"), str(path), "--mimic", str(self.options.build / "bin/mimic"),
                   "--name", "mimic.local/mimic:%s" % self.version.replace("~", "-")]
        for kernel in self.options.kernel:
            command += ["--kernel", kernel]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        print("%s (%d KiB)" % (path, path.stat().st_size // 1024), flush=True)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tools/packages", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT", help="folder for the packages")
    parser.add_argument("--build", type=pathlib.Path, default=SOURCE / "build/release", metavar="DIR", help="a build (build/release)")
    parser.add_argument("--only", default=",".join(ALL), metavar="KINDS", help="some of %s" % ",".join(ALL))
    parser.add_argument("--kernel", action="append", metavar="RELEASE", help="that guests can boot as installed; may be repeated (6.1)")
    parser.add_argument("--no-kernel", action="store_true", help="none; mimic up then fetches and compiles")
    parser.add_argument("--quick", action="store_true", help="hardly compressed, for tests")
    parser.add_argument("--partial", action="store_true", help="programs that are not built are left out, for tests")
    options = parser.parse_args(arguments)
    options.build = options.build.resolve()
    options.kernel = [] if options.no_kernel else options.kernel or ["6.1"]
    options.only = options.only.split(",")
    unknown = sorted(set(options.only) - set(ALL))
    if unknown:
        parser.error("--only %s: known are %s" % (",".join(unknown), ", ".join(ALL)))
    return options


def main():
    options = parse(sys.argv[1:])
    try:
        for program in ("patchelf", "dpkg-deb", "cmake", "strip"):
            if not shutil.which(program):
                raise stage.Failure("%s is not here: tools/setup packages" % program)
        with tempfile.TemporaryDirectory(prefix="mimic-packages-") as work:
            packages = Packages(options, work)
            for kind in ALL:
                if kind in options.only:
                    getattr(packages, "make_" + kind)()
    except (stage.Failure, OSError, subprocess.CalledProcessError) as error:
        print("tools/packages: error: %s" % error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
