# SPDX-License-Identifier: Apache-2.0
"""Rules on #include lines: dependencies of src/ point down only, and a file includes its own header first."""

import os
import re

from tree import Breach

# Groups of src/ by who may use them: their names are no part of an #include. What is in no group (`devices`, `cli`) is rooted
# at src/ itself.
GROUPS = ("lib", "transports", "plan", "run")

# Which folders the files of a folder may include besides their own. ARCHITECTURE.md has the picture; doc_rules.py sees to
# it that the two agree.
LOWEST = {"base"}
MEMORY = LOWEST | {"memory"}
REG = LOWEST | {"reg"}
DEVICE = MEMORY | REG | {"pci"}
MODEL = REG | {"model"}
SERVICE = LOWEST | {"service"}
PLAN = MODEL | {"topology", "outputs"}
HOST = DEVICE | SERVICE | {"trace", "vfio_user", "virtio", "virtio_pci", "vhost_user", "control"}
SERVING = HOST | MODEL | {"host", "devices", "topology", "outputs"}
MAY_INCLUDE = {
    # lib: installed, for everybody.
    "base": set(),
    # Guest memory as devices reach it. Neither knows what a PCI function is.
    "memory": LOWEST,
    "reg": LOWEST,
    "pci": MEMORY | REG,
    "trace": DEVICE,
    # Virtio devices and their queues; simulators of accelerators. Neither knows PCI.
    "virtio": MEMORY | REG,
    "sim": LOWEST,
    # YAML files as trees that know where each part stands.
    "yaml": LOWEST,
    # What a guest asks of a vGPU, and the way to who answers.
    "compute": LOWEST,
    # HTTP, events, metrics: for processes that have no devices, too.
    "service": LOWEST,
    # What Kubernetes is told of devices, as values and texts; and how to talk to its API.
    "slices": LOWEST,
    "kube": LOWEST,
    # transports: how a device reaches a VMM.
    "vfio_user": DEVICE,
    # A PCI function that owns a virtio device; a vhost-user backend.
    "virtio_pci": DEVICE | {"virtio"},
    "vhost_user": MEMORY | {"virtio"},
    # What a device says about itself: data.
    "model": REG,
    # A device knows neither its transport nor its process.
    "devices": DEVICE | {"model", "slices", "virtio", "sim", "compute"},
    # plan: files in, texts out. No process, no socket, no device: models come from the caller.
    "topology": DEVICE | {"model", "yaml"},
    "outputs": MODEL | {"pci", "topology"},
    # A few answers in, a topology file out.
    "starter": PLAN | {"yaml"},
    # Dumps of real devices in, topology files out.
    "dump": MODEL | {"pci", "topology"},
    "kernel_bus": PLAN | {"slices"},
    # run: what programs do.
    "control": DEVICE | SERVICE | {"trace"},
    # Files of a page as bytes.
    "page": set(),
    "guest_image": MODEL | {"topology"},
    "guest_agent": LOWEST | {"guest_image"},
    # Commands in a guest by its stream port. No machine, no agent.
    "streams": LOWEST,
    "verify": PLAN | {"guest_image"},
    # Functions, whoever made them, on sockets: installed, so it knows neither devices nor topologies.
    "host": HOST,
    "device_host": SERVING,
    "machine": SERVING | {"device_host", "kernel_bus", "guest_image", "guest_agent", "streams", "verify"},
    "gateway": DEVICE | SERVICE | {"trace", "control", "machine", "mediator"},
    "replay": SERVING | {"device_host"},
    # The node agent of Kubernetes knows devices by their sysfs files alone (`dra.h` of their folders).
    "dra": SERVICE | {"slices", "kube"},
    # mimic-sim: simulators on sockets. No device, no machine.
    "sim_server": SERVICE | {"sim"},
    # mimic-mediator: requests of many VMs, scheduled onto backends. No device, no machine.
    "mediator": SERVICE | {"compute", "sim", "sim_server", "yaml"},
    # A Kubernetes whose nodes are machines of ours.
    "cluster": SERVING | {"device_host", "guest_image", "guest_agent", "machine", "kube"},
    # Machines in pods, by the user's kubectl.
    "remote": SERVICE | {"machine"},
    "commands": SERVING | {"device_host", "machine", "gateway", "replay", "page", "mediator", "yaml"},
    "cli": SERVING | {
        "device_host", "machine", "gateway", "replay", "commands", "page", "kernel_bus", "dump", "starter", "guest_image",
        "guest_agent", "streams", "verify", "slices", "kube", "dra", "cluster", "remote", "sim",
        "sim_server", "yaml", "compute", "mediator"},
}

# What tests of folders below may include besides: the lists that programs hand to the parser and to Kubernetes.
LISTS_OF_DEVICES = ("devices/all_models.h", "devices/all_dra.h")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes(tree, path):
    """(line number, "<" or '"', name) of each #include."""
    for number, line in enumerate(tree.lines(path), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def source_files(tree):
    for path in tree.sources():
        if path.startswith("src/") and re.search(r"\.(h|cpp)$", path):
            yield path


def below_root(path):
    """Path of a source file as an #include writes it."""
    parts = path.split("/")[1:]
    return "/".join(parts[1:] if parts[0] in GROUPS else parts)


def arrows(tree):
    for path in source_files(tree):
        layer = below_root(path).split("/")[0]
        if layer not in MAY_INCLUDE:
            yield Breach(path, 1, "%s is no known layer; add it to tools/check_tree/include_rules.py" % os.path.dirname(path))
            continue
        for number, quote, name in includes(tree, path):
            parts = name.split("/")
            if quote == '"' and len(parts) == 1:
                yield Breach(path, number, '"%s" is not rooted at src/' % name)
            elif name.startswith(("src/", "../", "./")) or parts[0] in GROUPS:
                yield Breach(path, number, '"%s": write the path below its group of src/' % name)
            elif parts[0] not in MAY_INCLUDE or name == "memory":  # a folder of ours and a header of the language
                continue
            elif quote == "<":
                yield Breach(path, number, "<%s>: our own headers go in quotes" % name)
            elif name in LISTS_OF_DEVICES and path.endswith("_test.cpp"):
                continue
            elif layer == "devices" and parts[0] == "devices":
                if parts[1] != below_root(path).split("/")[1]:
                    yield Breach(path, number, '"%s": a device may not include another device' % name)
            elif parts[0] != layer and parts[0] not in MAY_INCLUDE[layer]:
                yield Breach(path, number, '"%s": %s may not depend on %s' % (name, layer, parts[0]))


def own_header_first(tree):
    known = set(tree.paths)
    for path in source_files(tree):
        stem, ending = os.path.splitext(path)
        if ending != ".cpp" or stem + ".h" not in known:
            continue
        own = below_root(stem) + ".h"
        first = next(includes(tree, path), None)
        if first and first[2] != own:
            yield Breach(path, first[0], 'the first #include is not "%s"' % own)


# A device's model.h, and its name in topology files. The models that stand for a way of describing devices (clones of
# dumps, servers of the user's) are words of the language, and so is the endpoint of a fabric: their names are allowed.
MODEL = re.compile(r"^src/devices/(\w+)/model\.h$")
NAME = re.compile(r"\.facts\s*=\s*\{\s*\.name = \"([\w-]+)\"")
LANGUAGE = re.compile(r"Source::k(Images|External)|Part::kFabric")
# Where a device may be named: its own folders, what is about all of Mimic, and tests.
ANYWHERE = ("examples/", "integrations/", "docs/", "tests/", "bench/", "guest/", "kernel/", "web/", "deploy/")
TEST_FILE = re.compile(r"(_test\.(cpp|py|sh)|/test_[^/]*|/testing/.*|/testdata/.*|/check_tree/.*|CMakeLists\.txt|\.md)$")


def devices_named(tree):
    """No file outside a device's folders names it: what others must know of it is in its model."""
    for path in tree.paths:
        match = MODEL.match(path)
        if not match or LANGUAGE.search(tree.text(path)):
            continue
        folder = match.group(1)
        name = NAME.search(tree.text(path))
        words = {folder, folder.replace("_", "-"), name.group(1) if name else folder}
        word = re.compile(r"(?<![\w-])(%s)(?![\w-])" % "|".join(sorted(map(re.escape, words))))
        own = ("src/devices/%s/" % folder, "src/cli/%s_" % folder)
        for other in tree.texts():
            if other.startswith(own + ANYWHERE) or TEST_FILE.search("/" + other) or "/" not in other:
                continue
            if other in ("cmake/install.cmake", "tools/demo"):
                continue  # what is installed and shown: programs and a line for people
            for number, line in enumerate(tree.lines(other), 1):
                if word.search(line):
                    yield Breach(other, number, "names the device %s: its model should say this" % folder)


RULES = [arrows, own_header_first, devices_named]
