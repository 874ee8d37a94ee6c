# SPDX-License-Identifier: Apache-2.0
"""One binary package: a tree of files, a control file and scripts become a .deb, by dpkg-deb."""

import email.utils
import gzip
import hashlib
import os
import pathlib
import shutil
import subprocess

MAINTAINER = "The Mimic authors <mimic@localhost>"
ALWAYS = [("bogus-mail-host", "the project has no mail address"),
          ("bogus-mail-host-in-debian-changelog", "the project has no mail address"),
          ("initial-upload-closes-no-bugs", "nothing is uploaded to Debian")]
SCRIPTS = pathlib.Path(__file__).resolve().parent / "scripts"
COPYRIGHT = """Format: https://www.%s/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: mimic

Files: *
Copyright: 2025-2026 The Mimic authors
License: Apache-2.0

Files: usr/src/* usr/share/mimic/kernel/*
Copyright: 2025-2026 The Mimic authors
License: GPL-2

License: Apache-2.0
 On Debian systems, the text is in /usr/share/common-licenses/Apache-2.0.

License: GPL-2
 On Debian systems, the text is in /usr/share/common-licenses/GPL-2.
""" % ".".join(("debian", "org"))  # the name of the format; nothing is fetched


def set_modes(root):
    """Modes as Debian has them, whatever the umask of who built."""
    for folder, _, files in os.walk(root):
        os.chmod(folder, 0o755)
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, 0o755 if os.stat(path).st_mode & 0o100 else 0o644)


def compress(path):
    """path.gz in place of path; the same bytes each time."""
    data = pathlib.Path(path).read_bytes()
    with open(str(path) + ".gz", "wb") as out, gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as packed:
        packed.write(data)
    os.remove(path)


def _add_documents(root, name, version, changelog, overrides):
    doc = root / "usr/share/doc" / name
    doc.mkdir(parents=True, exist_ok=True)
    (doc / "copyright").write_text(COPYRIGHT)
    shutil.copyfile(changelog, doc / "changelog")
    compress(doc / "changelog")
    when = email.utils.formatdate(int(os.environ.get("SOURCE_DATE_EPOCH", os.stat(changelog).st_mtime)))
    (doc / "changelog.Debian").write_text("%s (%s) unstable; urgency=low\n\n  * See changelog.gz.\n\n -- %s  %s\n" %
                                          (name, version, MAINTAINER, when))
    compress(doc / "changelog.Debian")
    folder = root / "usr/share/lintian/overrides"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join("# %s\n%s: %s\n" % (why, name, tag) for tag, why in [*ALWAYS, *overrides]))


def _add_control(root, name, fields, values):
    """DEBIAN/: control, md5sums and the scripts NAME.preinst, NAME.postinst, NAME.prerm that there are."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    size = sum((path.stat().st_size + 1023) // 1024 for path in files)
    debian = root / "DEBIAN"
    debian.mkdir()
    text = "Package: %s\n" % name
    for key, value in dict(fields, **{"Installed-Size": size, "Maintainer": MAINTAINER}).items():
        text += "%s: %s\n" % (key, value)
    (debian / "control").write_text(text)
    sums = ["%s  %s\n" % (hashlib.md5(path.read_bytes()).hexdigest(), path.relative_to(root)) for path in files]
    (debian / "md5sums").write_text("".join(sums))
    configuration = [path for path in files if path.relative_to(root).parts[0] == "etc"]
    if configuration:
        (debian / "conffiles").write_text("".join("/%s\n" % path.relative_to(root) for path in configuration))
    for script in ("preinst", "postinst", "prerm"):
        source = SCRIPTS / ("%s.%s" % (name, script))
        if source.exists():
            text = source.read_text()
            for key, value in values.items():
                text = text.replace("@%s@" % key, value)
            (debian / script).write_text(text)
            os.chmod(debian / script, 0o755)


def build(root, out, fields, changelog, values=None, overrides=(), quick=False):
    """Makes OUT/NAME_VERSION_ARCHITECTURE.deb of the files below `root` and returns its path. `fields`: of the control file,
    with Package, Version and Architecture; `values`: what @KEY@ is in the scripts; `overrides`: (tag of lintian, why);
    `quick`: large, for a test. Errors: CalledProcessError."""
    fields = dict(fields)
    name = fields.pop("Package")
    _add_documents(root, name, fields["Version"], changelog, overrides)
    set_modes(root)
    _add_control(root, name, fields, values or {})
    path = pathlib.Path(out) / ("%s_%s_%s.deb" % (name, fields["Version"], fields["Architecture"]))
    how = ["-Zgzip", "-z1"] if quick else ["-Zxz"]
    subprocess.run(["dpkg-deb", "--root-owner-group", *how, "--build", str(root), str(path)], check=True,
                   stdout=subprocess.DEVNULL)
    return path
