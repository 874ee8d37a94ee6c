#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""packages_test.py SOURCE_DIR BUILD_DIR [--roots SUITE,...] [--packages DIR]: what tools/packages makes.

Without --roots: packages of BUILD_DIR's programs without kernels, hardly compressed, looked at and run from where they were
unpacked. With --roots: all packages (or those in DIR), installed in a clean root of each suite, where a machine boots. That
needs root, mounts and the mirror that apt is configured with."""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
MODULES = ("fake-sriov-vgpu", "mock-accel", "vgpu-stub", "virtio-sst")
SKIPPED = 77
C_LIBRARY = re.compile(r"/(libc|libm|libdl|librt|libpthread|libresolv)\.so|linux-vdso|ld-linux")
ROOT_AGE_S = 7 * 86400  # arbitrary: the roots that are kept need not have the newest packages
failures = 0


def check(what, good, detail=""):
    global failures
    print("%s %s%s" % ("ok" if good else "FAILED", what, "" if good else ": %s" % (detail,)), flush=True)
    failures += 0 if good else 1
    return good


def run(*words, **options):
    options.setdefault("timeout", 3000)
    return subprocess.run([str(each) for each in words], capture_output=True, text=True, check=False, **options)


def make(options, out, *more):
    done = run(options.source / "tools/packages", out, "--build", options.build, *more)
    sys.stdout.write(done.stdout)
    return check("packages are made", done.returncode == 0, done.stdout + done.stderr)


def only(folder, pattern):
    found = sorted(pathlib.Path(folder).glob(pattern))
    return found[0] if found else pathlib.Path(folder) / ("no-" + pattern.replace("*", "x"))


def fields_of(deb):
    return dict(re.findall(r"^(\S+): (.*)$", run("dpkg-deb", "-f", deb).stdout, re.M))


def look_at_mimic(deb, work):
    """The files of mimic's package, and whether the program finds them where they were unpacked."""
    check("it unpacks", run("dpkg-deb", "-x", deb, work).returncode == 0)
    usr = work / "usr"
    for name in ("bin/mimic", "libexec/mimic/debs", "share/man/man1/mimic.1.gz", "share/man/man1/mimic-kernel-up.1.gz",
                 "share/bash-completion/completions/mimic", "share/zsh/vendor-completions/_mimic",
                 "share/fish/vendor_completions.d/mimic.fish",
                 "lib/systemd/user/mimic-api.service", "lib/systemd/system/mimic-serve@.service", "share/mimic/examples/dual-numa.yaml",
                 "share/mimic/grafana/mimic.json", "share/mimic/kernel/mock-accel/Kbuild", "share/mimic/guest/init/init",
                 "share/doc/mimic/docs/schema/mimic-v1.schema.json", "share/doc/mimic/docs/openapi/control-v1.json",
                 "share/doc/mimic/copyright", "share/doc/mimic/changelog.gz", "share/doc/mimic/changelog.Debian.gz"):
        check(name, (usr / name).exists())
    links = run("ldd", usr / "bin/mimic").stdout
    foreign = [line for line in links.splitlines() if "=>" in line and str(usr) not in line and not C_LIBRARY.search(line)]
    check("libraries are its own but for the C library's", "libfmt" in links and not foreign, foreign)
    environment = dict(os.environ, HOME=str(work), XDG_RUNTIME_DIR=str(work), MIMIC_CACHE=str(work / "cache"))
    shown = run(usr / "bin/mimic", "plan", usr / "share/mimic/examples/dual-numa.yaml", env=environment)
    check("it reads an example", shown.returncode == 0, shown.stderr)
    words = run(usr / "bin/mimic", "__complete", "veri", env=environment).stdout
    check("it completes", words.startswith("verify"), words)
    if shutil.which("systemd-analyze"):
        units = [usr / "lib/systemd/system/mimic-serve@.service", usr / "lib/systemd/user/mimic-api.service",
                 usr / "lib/systemd/user/mimic-serve@.service"]
        for source, name in zip(units, ("mimic-serve@box.service", "mimic-api.service", "mimic-serve@user.service")):
            unit = work / name
            shutil.copy(source, unit)
            # systemd looks for programs in the system alone, and this one is not installed there.
            unit.write_text(unit.read_text().replace("ExecStart=mimic", "ExecStart=%s/bin/mimic" % usr))
            told = run("systemd-analyze", "verify", "--man=no", unit)
            check("systemd has nothing to say of " + name, told.returncode == 0 and str(unit) not in told.stderr, told.stderr)
    else:
        print("SKIP: units of systemd: no systemd-analyze")


def refuse(deb, work, suite, glibc, wanted):
    """The preinst script of a package on a system that it is not for."""
    check("control files", run("dpkg-deb", "-e", deb, work / "control").returncode == 0)
    fake = work / "fake"
    fake.mkdir(exist_ok=True)
    (fake / "getconf").write_text("#!/bin/sh\necho glibc %s\n" % glibc)
    (fake / "getconf").chmod(0o755)
    (work / "os-release").write_text('PRETTY_NAME="Debian GNU/Linux 11 (bullseye)"\nVERSION_CODENAME=%s\n' % suite)
    script = work / "preinst"
    script.write_text((work / "control/preinst").read_text().replace("/etc/os-release", str(work / "os-release")))
    done = run("sh", script, "install", env=dict(os.environ, PATH="%s:%s" % (fake, os.environ["PATH"])))
    good = done.returncode == 1 and all(each in done.stderr for each in wanted)
    check("%s refuses %s with what mends it" % (deb.name, suite), good, "%d %s" % (done.returncode, done.stderr))


def quick(options):
    with tempfile.TemporaryDirectory(prefix="mimic-packages-test.") as name:
        work = pathlib.Path(name)
        if not make(options, work / "out", "--only", "deb,dev,dkms", "--no-kernel", "--quick", "--partial"):
            return
        out = work / "out"
        mimic, dev, dkms = (only(out, pattern) for pattern in ("mimic_*.deb", "libmimic-dev_*.deb", "mimic-dkms_*.deb"))
        look_at_mimic(mimic, work / "root")
        for deb in (mimic, dev, dkms):
            fields = fields_of(deb)
            check(deb.name, re.match(r"^\d+\.\d+\.\d+(~\d{8})?-1$", fields.get("Version", "")) and fields.get("Depends"), fields)
        files = run("dpkg-deb", "-c", dkms).stdout
        for module in MODULES:
            check("sources of " + module, re.search(r"/usr/src/%s-[\d.]+/dkms.conf\n" % module, files))
        check("no link leads out of them", " -> " not in files, files)
        check("headers and libraries", all(each in run("dpkg-deb", "-c", dev).stdout for each in
                                           ("/usr/include/mimic/pci/", "/usr/lib/libmimic_pci.a", "/pkgconfig/mimic.pc")))
        refuse(mimic, work, "bullseye", "2.31", ("bullseye", "2.31", "built for", "docs/install.md"))
        shutil.rmtree(work / "control")
        refuse(dev, work, "sid", "2.50", ("sid", "headers differ", "make packages"))


def mirror():
    """URI of Debian's main archive, from apt's own configuration."""
    listed = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(CODENAME)", "Created-By: Packages").stdout
    return next((line.split()[0] for line in listed.splitlines() if re.search(r" Debian (?:bookworm|trixie)$", line)), None)


def why_not():
    """Why no root file system can be made here, or None."""
    if os.geteuid() != 0:
        return "roots need root"
    if not shutil.which("mmdebstrap"):
        return "no mmdebstrap (tools/setup packages)"
    if run("unshare", "--mount", "sh", "-c", "mount -t tmpfs x /mnt").returncode != 0:
        return "mounting is not allowed here"
    return None if mirror() else "apt is configured with no mirror of Debian"


def base_root(suite):
    """An archive of a minimal root of `suite` with apt; kept for some days."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    kept = pathlib.Path(os.environ.get("MIMIC_CACHE") or os.path.join(home, "mimic")) / "test-roots" / (suite + ".tar")
    if not kept.exists() or time.time() - kept.stat().st_mtime > ROOT_AGE_S:
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part.tar")
        done = run("mmdebstrap", "--variant=apt", "--mode=root", suite, part, "deb %s %s main" % (mirror(), suite))
        if not check("a root of " + suite, done.returncode == 0, done.stderr[-2000:]):
            return None
        part.rename(kept)
    return kept


class Root:
    """A fresh root of a suite with the packages below /packages."""

    def __init__(self, options, suite, work, packages):
        self.suite, self.path = suite, work / suite
        self.path.mkdir()
        subprocess.run(["tar", "-xf", str(base_root(suite)), "-C", str(self.path)], check=True)
        shutil.copy("/etc/resolv.conf", self.path / "etc/resolv.conf")
        for each in pathlib.Path("/etc/apt/apt.conf.d").iterdir():
            if "proxy" in each.read_text(errors="replace").lower():
                shutil.copy(each, self.path / "etc/apt/apt.conf.d")
        shutil.copytree(HERE / "in_root", self.path / "packages")
        for each in packages:
            if each.is_dir():
                shutil.copytree(each, self.path / "packages" / each.name)
            else:
                shutil.copy(each, self.path / "packages")

    def run(self, what, script, *words):
        path = self.path / "packages" / script
        path.chmod(0o755)
        done = run("sh", HERE / "scenario.sh", self.path, script, *words)
        sys.stdout.write(re.sub("^", "    ", done.stdout, flags=re.M) + "\n")
        check("%s: %s" % (self.suite, what), done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:])
        return done.stdout


def in_roots(options, packages):
    mimic, dev, dkms = (only(packages, pattern) for pattern in ("mimic_*.deb", "libmimic-dev_*.deb", "mimic-dkms_*.deb"))
    if shutil.which("lintian"):
        told = run("lintian", "--allow-root", "--fail-on", "error,warning", *(each for each in (mimic, dev, dkms) if each.exists()))
        check("lintian finds neither errors nor warnings", told.returncode == 0, told.stdout)
    else:
        print("SKIP: no lintian (tools/setup packages)")
    for suite in options.roots.split(","):
        with tempfile.TemporaryDirectory(prefix="mimic-root.") as name:
            root = Root(options, suite, pathlib.Path(name), [mimic, dev, dkms, options.source / "docs/add-a-device"])
            told = root.run("the package is installed and boots a verified machine", "deb.sh", "/packages/" + mimic.name)
            together = re.search(r"together (\d+)", told)
            check("%s: from the installation's end in under a minute" % suite,
                  together and (int(together.group(1)) < 60 or options.slow), told[-500:])
            if dev.exists() and suite == options.suite:
                script = root.path / "packages/dev.sh"
                script.write_text(script.read_text().replace("@FLAGS@", options.flags))
                root.run("a program builds with libmimic-dev", "dev.sh", "/packages/" + dev.name, "/packages/add-a-device")
            elif dev.exists():
                told = root.run("libmimic-dev is refused", "wrong_suite.sh", "/packages/" + dev.name)
                check("%s: and it is said why" % suite, suite in told and "make packages" in told, told)
            root.run("modules are built", "dkms.sh", "/packages/" + dkms.name, *MODULES)


def tarball_in_root(options, packages):
    archive = only(packages, "mimic-*.tar.xz")
    for suite in options.roots.split(","):
        with tempfile.TemporaryDirectory(prefix="mimic-root.") as name:
            root = Root(options, suite, pathlib.Path(name), [])
            (root.path / "home/tester").mkdir()
            subprocess.run(["tar", "-xf", str(archive), "-C", str(root.path / "home/tester")], check=True)
            root.run("the tarball boots a machine without being installed", "tarball.sh",
                     "/home/tester/" + archive.name[:-len(".tar.xz")])


def image_in_root(packages):
    """What a container engine would run: the layers, unpacked, and the entry point with the image's environment."""
    archive = only(packages, "mimic-*-oci.tar")
    with tempfile.TemporaryDirectory(prefix="mimic-image.") as name:
        work = pathlib.Path(name)
        done = run(sys.executable, HERE / "run_image.py", archive, work, "run", "/usr/share/mimic/examples/dual-numa.yaml", "--",
                   "uname", "-r")
        check("the image boots a machine and runs a command in it", done.returncode == 0 and re.search(r"^6\.1\.", done.stdout, re.M),
              done.stdout[-2000:] + done.stderr[-2000:])


def roots(options):
    reason = why_not()
    if reason:
        print("SKIP: " + reason)
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="mimic-packages-test.") as name:
        packages = options.packages
        if not packages:
            packages = pathlib.Path(name)
            if not make(options, packages):
                return 1
        if "deb" in options.kinds:
            in_roots(options, packages)
        if "tarball" in options.kinds:
            tarball_in_root(options, packages)
        if "image" in options.kinds:
            image_in_root(packages)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--roots", default="")
    parser.add_argument("--packages", type=pathlib.Path)
    parser.add_argument("--kinds", default="deb,tarball,image")
    parser.add_argument("--slow", action="store_true", help="print the seconds, without a limit: programs with sanitizers")
    parser.add_argument("--suite", default="bookworm", help="that the build was made on")
    parser.add_argument("--flags", default="", help="of the compiler, that the build's libraries need")
    options = parser.parse_args()
    options.source = options.source.resolve()
    status = roots(options) if options.roots else quick(options)
    return 1 if failures else status or 0


if __name__ == "__main__":
    sys.exit(main())
