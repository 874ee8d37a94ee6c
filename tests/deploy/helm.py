# SPDX-License-Identifier: Apache-2.0
"""Where the tests of deploy/ find helm, and what it renders."""

import os
import pathlib
import shutil
import subprocess
import sys

import yaml

SOURCES = pathlib.Path(__file__).resolve().parents[2]
CHART = SOURCES / "deploy/helm/mimic"
# The Kubernetes of the tests (tests/cluster/kube/go.mod).
KUBERNETES = "1.36.3"


def skip(reason):
    print("SKIP: " + reason)
    sys.exit(77)


def program(name):
    """Path of helm or kubeconform: from the environment (HELM, KUBECONFORM), else as tools/kube builds and keeps it."""
    named = os.environ.get(name.upper())
    if named:
        return named
    if not shutil.which("go"):
        skip("no Go to build %s with" % name)
    built = subprocess.run([SOURCES / "tools/kube", name], stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        # No Go modules are to be had without a proxy; a build that fails for other reasons says why above.
        raise RuntimeError("tools/kube %s failed" % name)
    return os.path.join(built.stdout.strip(), name)


def run(*arguments):
    return subprocess.run([program("helm"), *map(str, arguments)], capture_output=True, text=True, check=False)


def template(*values, chart=CHART, kubernetes=KUBERNETES, release="mimic", namespace="mimic-system"):
    """subprocess's result of `helm template` with --set values, or -f files for those that are paths."""
    arguments = []
    for value in values:
        arguments += ["-f", value] if isinstance(value, pathlib.Path) else ["--set", value]
    return run("template", release, chart, "--namespace", namespace, "--kube-version", kubernetes, *arguments)


def objects(*values, **options):
    """{(kind, name): object} of the chart with values."""
    result = template(*values, **options)
    if result.returncode != 0:
        raise RuntimeError(result.stderr)
    found = [each for each in yaml.safe_load_all(result.stdout) if each]
    named = {(each["kind"], each["metadata"]["name"]): each for each in found}
    if len(named) != len(found):
        raise RuntimeError("two objects of one name")
    return named
