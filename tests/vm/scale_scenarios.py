# SPDX-License-Identifier: Apache-2.0
"""The instruments on a machine of 4 PFs with 64 VFs each: API, metrics, mimic regs, mimic top, and the page in headless
Chromium. Sizes and times are printed, not judged."""
import collections
import contextlib
import json
import re
import time
import urllib.parse
import urllib.request

from fabric_scenarios import PCI
from guest import Failure, check, equal
from web_scenarios import PANEL, choose, row, state, web_server

from browser import Browser, BrowserError, find_browser  # its folder was named by web_scenarios

MACHINE = "crowd"
PFS, VFS = 4, 64
PF_NAMES = [f"gpu{pf}" for pf in range(PFS)]
VF_NAMES = [f"{pf}-vf{vf}" for pf in PF_NAMES for vf in range(VFS)]
LAST = VF_NAMES[-1]
LABELS = "[...document.querySelectorAll('#tree .label')].map(e => e.textContent)"


@contextlib.contextmanager
def timed(what):
    begin = time.monotonic()
    details = []
    yield details.append
    print(f"{what}: {(time.monotonic() - begin) * 1000:.0f} ms", *details, sep=", ", flush=True)


def enables_all(vm):
    """All but the first PF without drivers for their VFs: what matters is that they are there."""
    with timed(f"{PFS * VFS} VFs in the guest"):
        for pf in range(PFS):
            folder = f"{PCI}/10000:{pf + 1:02x}:00.0"
            if pf > 0:
                vm.shell(MACHINE, f"echo 0 >{folder}/sriov_drivers_autoprobe")
            vm.shell(MACHINE, f"echo {VFS} >{folder}/sriov_numvfs")


class Client:
    """GET from the address that `mimic web` printed."""

    def __init__(self, address):
        parts = urllib.parse.urlsplit(address)
        self.base = f"{parts.scheme}://{parts.netloc}"
        self.token = urllib.parse.parse_qs(parts.fragment)["token"][0]

    def get(self, path):
        request = urllib.request.Request(self.base + path, headers={"Authorization": f"Bearer {self.token}"})
        with timed(f"GET {path}") as tell, urllib.request.urlopen(request, timeout=60) as response:
            text = response.read()
            tell(f"{len(text)} bytes")
        return text.decode()


def api_lists_all(client):
    answer = json.loads(client.get(f"/v1/machines/{MACHINE}/devices"))
    equal("silent loops and hosts", (0, []), (answer["busy_loops"], answer["unreachable"]))
    devices = {device["name"]: device for device in answer["devices"]}
    equal("names that are twice there", len(answer["devices"]), len(devices))
    equal("virtual functions", sorted(VF_NAMES),
          sorted(name for name, device in devices.items() if device["kind"] == "virtual-function"))
    equal("VFs that the PFs have", [VFS] * PFS, [devices[name]["vfs"] for name in PF_NAMES])
    equal("PF of the last VF", "gpu3", devices[LAST]["pf"])
    # With ARI, 64 functions behind 04:00.0 end at 04:08.0.
    equal("address of the last VF", "10000:04:08.0", devices[LAST]["bdf"])
    equal("addresses that are twice there", [],
          [bdf for bdf, count in collections.Counter(device["bdf"] for device in devices.values()).items() if count > 1])
    one = json.loads(client.get(f"/v1/machines/{MACHINE}/devices/{LAST}"))
    equal("identity of the last VF alone", devices[LAST]["bdf"], one["bdf"])
    registers = json.loads(client.get(f"/v1/machines/{MACHINE}/devices/{LAST}/registers"))
    names = [register["name"] for bar in registers["bars"] for block in bar["maps"] for register in block["registers"]]
    check("STATUS" in names, f"registers of the last VF: {names}")


def metrics_have_all(client):
    """Each device has its samples, no series comes twice, and a family is one block."""
    text = client.get("/metrics")
    samples = [line for line in text.splitlines() if line and not line.startswith("#")]
    series = collections.Counter(line.rsplit(" ", 1)[0] for line in samples)
    equal("series that come twice", [], [name for name, count in series.items() if count > 1])
    blocks = re.findall(r"(?m)^# TYPE (\S+) ", text)
    equal("families that come twice", len(blocks), len(set(blocks)))
    seen = set(re.findall(r'(?m)^mimic_device_connected\{[^}]*device="([^"]+)"', text))
    equal("devices without metrics", set(), set(VF_NAMES + PF_NAMES) - seen)


def commands_cope(vm):
    with timed("mimic top --once"):
        table = vm.run("top", MACHINE, "--once", "--interval", "0.1")
    check(table.status == 0 and re.search(rf"(?m)^ +{LAST} ", table.out), f"top: {table}")
    with timed("mimic top --json"):
        done = vm.run("top", MACHINE, "--json", "--interval", "0.1")
    names = {device["name"] for device in json.loads(done.out)["machines"][0]["devices"]}
    equal("devices that top lacks", set(), set(VF_NAMES + PF_NAMES) - names)
    with timed("mimic regs of the last VF") as tell:
        done = vm.run("regs", MACHINE, LAST)
        tell(f"{len(done.out)} bytes")
    check(done.status == 0 and re.search(r"(?m)^ +02c STATUS = ", done.out), f"regs: {done}")
    with timed("mimic trace"):
        done = vm.run("trace", MACHINE, "gpu3", "--last", "20")
    check(done.status == 0 and done.out.count("\n") >= 20, f"trace: {done}")


def page_copes(page, address):
    """Unfold, scroll to the end, open what is there; then the last VF by typing its name."""
    with timed("the page shows the machine"):
        page.open(address)
        page.wait(f"{row('gpu0')} !== null", "the first PF is in the tree")
    with timed("unfold and scroll to the end") as tell:
        page.click("#unfold")
        page.js("document.querySelector('#tree').focus()")
        page.key("End")
        page.wait(f"{row(LAST)} !== null", "the last VF")
        tell(f"{page.js('document.querySelectorAll(`*`).length')} elements in the document")
    labels = page.js(LABELS)
    check(len(labels) < 100, f"{len(labels)} rows are in the document")
    equal("what End leads to", LAST, labels[-1])
    page.wait(f"{state(LAST)} !== ''", "its state")
    with timed("open the last VF"):
        choose(page, LAST, "registers")
        page.wait(f"/PCI Express/.test({PANEL}) && /mock.accel/i.test({PANEL})", "its registers")
    page.js("document.querySelector('#tree').focus()")
    with timed("every row by PageUp"):
        seen = set(labels)
        while page.js("document.querySelector('#tree').scrollTop") > 0:
            page.key("PageUp")
            page.js("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            seen.update(page.js(LABELS))
    equal("functions that were in no row", set(), set(VF_NAMES + PF_NAMES) - seen)
    with timed("jump by typing a name"):
        page.type_ahead("gpu2-vf63", "document.querySelector('#tree [data-active] .label')?.textContent")
    # One second of polls, as the page says it: what a poll and its painting cost.
    cost = page.js("""new Promise((done) => {
        const costs = [];
        new PerformanceObserver((list) => {
            costs.push(...list.getEntries().filter(e => /devices$/.test(e.name)).map(e => Math.round(e.duration)));
            if (costs.length >= 3) done(costs);
        }).observe({ type: "resource" });
        setTimeout(() => done(costs), 20000);
    })""")
    check(cost, "the page asks for devices again and again")
    print(f"polls of the page: {cost} ms", flush=True)


def fault_at_the_end(vm, page):
    vm.inject(MACHINE, LAST, "all-ones")
    page.key("Home", "End")
    page.wait(f"{state(LAST)} === 'fault'", "the row of the last VF says it")
    vm.inject(MACHINE, LAST, "clear")
    page.wait(f"{state(LAST)} !== 'fault'", "and that it is over")


def vfs_go(vm, page):
    with timed("64 VFs less"):
        vm.shell(MACHINE, f"echo 0 >{PCI}/10000:04:00.0/sriov_numvfs")
        page.wait(f"{row(LAST)} === null", "the last VF is gone")
    page.key("End")
    page.wait(f"{row('gpu3')} !== null", "its PF is the last row")


def instruments_scale(vm):
    enables_all(vm)
    with web_server(vm) as address:
        client = Client(address)
        api_lists_all(client)
        metrics_have_all(client)
        commands_cope(vm)
        if not find_browser():
            print("no page: there is no Chromium (tools/setup test installs chromium-headless-shell)")
        else:
            try:
                with Browser() as page:
                    page_copes(page, address)
                    fault_at_the_end(vm, page)
                    vfs_go(vm, page)
                    equal("complaints of the browser", [], page.complaints())
            except BrowserError as error:
                raise Failure(str(error)) from error
    vm.check_dmesg(MACHINE)


SCENARIOS = {"instruments-scale": (instruments_scale, "../tests/vm/scale.yaml")}
