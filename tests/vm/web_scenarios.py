# SPDX-License-Identifier: Apache-2.0
"""The page of mimic web on a booted machine, in headless Chromium: fold, watch VFs appear, read registers, record, and
inject a fault that both the page (tree and picture) and the guest see. MIMIC_SCREENSHOT=FILE keeps a picture of it (docs/web.png)."""
import contextlib
import os
import select
import subprocess
import sys
import time

from fabric_scenarios import CLASS, PCI, fails
from guest import Failure, TREE, check, equal

sys.path.insert(0, str(TREE / "tests" / "web"))
from browser import Browser, BrowserError, find_browser  # noqa: E402 (its folder has to be named first)

MACHINE = "rack"
GPU = "10000:03:00.0"   # gpu0, behind switch sw0: the guest's mock1
LABELS = "[...document.querySelectorAll('#tree .label')].map(e => e.textContent)"
PANEL = "document.querySelector('#panel').innerText"
EVENTS = "document.querySelector('#events').innerText"
PICTURE = "document.querySelector('.machine-picture')?.textContent"


@contextlib.contextmanager
def web_server(vm):
    """`mimic web` on a port that the system chooses; the address that it prints."""
    server = subprocess.Popen([vm.mimic, "web"], env=vm.environment, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE)
    try:
        ready, _, _ = select.select([server.stdout], [], [], 60)
        line = server.stdout.readline() if ready else ""
        address = next((word for word in line.split() if word.startswith("http://127.0.0.1:")), None)
        check(address, f"mimic web printed no address: {line!r}")
        yield address
    finally:
        server.terminate()
        status = server.wait(timeout=60)
    equal("exit status of mimic web after SIGTERM", 0, status)


def piece(name):
    """The words of what stands for a device in the picture."""
    return f"document.querySelector('.machine-picture [data-id=\"device:{name}\"]')?.getAttribute('aria-label')"


def row(name):
    return f"document.getElementById('row-device:{name}')"


def state(name):
    return f"{row(name)}?.querySelector('.state').textContent"


def choose(page, name, tab):
    page.click(f"[id='row-device:{name}'] .label")
    page.wait(f"document.querySelector('#details-title')?.textContent === '{name}'")
    page.click(f"#tab-{tab}")


def shows_the_machine(vm, page):
    page.wait(f"{row('gpu3')} !== null", "the last GPU is in the tree")
    labels = page.js(LABELS)
    for name in ("NUMA node 0", "NUMA node 1", "fabric0", "sw0.up", "gpu0.port", "gpu0", "accel0"):
        check(name in labels, f"the tree has no {name}: {labels}")
    page.wait(f"{state('gpu0')} === 'active'", "gpu0 is active: its driver is bound")
    # Accesses of the guest are counted while one looks.
    vm.shell(MACHINE, "(while :; do mock-accel-bench --device mock1 --verify; done) >/dev/null 2>&1 </dev/null & "
                      "echo $! >/tmp/traffic")
    number = f"{row('gpu0')}.querySelector('.number').textContent"
    page.wait(f"parseFloat({number}) > 0", "accesses per second of gpu0")
    # The picture beside it, until a device is chosen.
    page.wait(f"/^gpu0, function, active, {GPU}, .*gen5 x16 .32 GT.s., mock-accel, 0 of 8 VFs, .*accesses.s/.test({piece('gpu0')})",
              "gpu0 in the picture")
    page.wait(f"/NUMA node 1.*Domain 10001/.test({PICTURE})", "both fabrics")


def folds_by_keyboard(page):
    page.js("document.querySelector('#tree').focus()")
    page.key("Home", "ArrowLeft")
    page.wait(f"{row('gpu0')} === null && {row('gpu2')} !== null", "node 0 is folded, node 1 is not")
    page.key("ArrowRight")
    page.wait(f"{row('gpu0')} !== null", "node 0 is unfolded")


def vfs_appear(vm, page):
    check(page.js(f"{row('gpu0-vf0')} === null"), "there is a VF before sriov_numvfs")
    vm.shell(MACHINE, f"echo 4 >{PCI}/{GPU}/sriov_numvfs")
    page.wait(f"{row('gpu0-vf3')} !== null", "the fourth VF")
    page.wait(f"{state('gpu0-vf3')} === 'active'", "the driver of the guest has the fourth VF")
    page.wait(f"{row('gpu0')}.textContent.includes('4/8 VFs')", "the PF says how many")
    page.wait(f"{EVENTS}.includes('has 4 virtual functions')", "the event")
    page.wait(f"/4 of 8 VFs enabled/.test({PICTURE}) && /10000:03:00.4/.test({piece('gpu0-vf3')})", "the VFs in the picture")


def registers_are_those_of_the_guest(vm, page):
    choose(page, "gpu0", "registers")
    page.wait(f"/PCI Express/.test({PANEL}) && /mock.accel/i.test({PANEL})", "sections by name")
    status = "[...document.querySelectorAll('.register')].find(e => /(^|\\/)status$/i.test(e.dataset.name) && " \
             "/mock.accel/i.test(e.closest('.section').textContent))?.querySelector('.value').textContent"
    vm.shell(MACHINE, f"echo 0x5a >{CLASS}/mock1/status")
    page.wait(f"parseInt({status}) === 0x5a", "STATUS as the guest wrote it")


def trace_shows_the_guest(vm, page):
    choose(page, "gpu1", "trace")
    page.wait("document.querySelector('#panel .tools button').disabled === false")
    # The ring is always on, so a recording need not be started.
    page.wait(f"{PANEL}.includes('Recording into')", "recording")
    vm.shell(MACHINE, f"echo 0x33 >{CLASS}/mock2/status")
    page.wait("/bar-write\\s+STATUS.*0x0*33\\b/.test(document.querySelector('.trace').innerText)", "the write, by name and value")


def fault_is_seen_by_page_and_guest(vm, page):
    choose(page, "gpu3", "faults")
    page.click("[aria-label='Inject all-ones']")
    page.wait("/all-ones\\s+active/.test(document.querySelector('.standing').innerText)", "the fault stands")
    page.wait(f"{state('gpu3')} === 'fault'", "the row says it")
    page.click(".to-picture")
    page.wait(f"/faults: 1 active/.test({piece('gpu3')})", "the picture says it")
    choose(page, "gpu3", "faults")
    page.wait(f"{EVENTS}.includes('fault all-ones')", "the event")
    fails(vm, MACHINE, f"cat {CLASS}/mock4/status", "No such device")
    page.click("#panel .tools button")
    page.wait(f"{state('gpu3')} === 'active'", "cleared")
    vm.shell(MACHINE, f"cat {CLASS}/mock4/status")
    choose(page, "gpu2", "faults")
    page.wait("document.querySelector('[aria-label=\"severity of completion-timeout\"]') !== null", "options")
    page.js("document.querySelector('[aria-label=\"severity of completion-timeout\"]').value = 'nonfatal'")
    page.click("[aria-label='Inject completion-timeout']")
    page.wait("/completion-timeout\\s+done/.test(document.querySelector('.standing').innerText)", "it struck")
    vm.wait_for(MACHINE, "dmesg | grep -q 'mock-accel 10001:03:00.0: .*resumed'")


def take_picture(vm, page):
    path = os.environ.get("MIMIC_SCREENSHOT")
    if not path:
        return
    # For readers: a fault that stands, VFs that have just come, and the tree from its first row on.
    page.resize(1440, 900)
    choose(page, "gpu1", "faults")
    page.click("[aria-label='Inject all-ones']")
    page.wait(f"{state('gpu1')} === 'fault'", "the fault stands")
    page.wait(f"{EVENTS}.includes('trace written to')", "its dump, which names a folder of this test's")
    page.click(".to-picture")
    page.click("#clear-events")
    for gpu, count in ((GPU, 0), (GPU, 4), ("10001:03:00.0", 2)):
        vm.shell(MACHINE, f"echo {count} >{PCI}/{gpu}/sriov_numvfs")
    page.wait(f"{row('gpu2-vf1')} !== null", "the VFs")
    time.sleep(60)  # for the picture alone: lines of a minute look like what one sees
    page.js("document.querySelector('#tree').scrollTop = 0; document.activeElement.blur()")
    page.wait("document.querySelector('#tree .label').textContent === 'NUMA node 0'", "the first row")
    time.sleep(1)
    page.screenshot(path)


def instruments_web(vm):
    if not find_browser():
        print("SKIP: there is no Chromium (tools/setup test installs chromium-headless-shell)")
        sys.exit(77)
    with web_server(vm) as address, Browser() as page:
        try:
            page.open(address)
            shows_the_machine(vm, page)
            folds_by_keyboard(page)
            vfs_appear(vm, page)
            registers_are_those_of_the_guest(vm, page)
            trace_shows_the_guest(vm, page)
            fault_is_seen_by_page_and_guest(vm, page)
            take_picture(vm, page)
        except BrowserError as error:
            raise Failure(str(error)) from error
        equal("complaints of the browser", [], page.complaints())
        elsewhere = [url for url in page.requests() if not url.startswith(("http://127.0.0.1:", "about:", "blob:"))]
        equal("requests that left the loopback", [], elsewhere)
    vm.shell(MACHINE, "kill $(cat /tmp/traffic); killall mock-accel-bench || true")


SCENARIOS = {"instruments-web": (instruments_web, "../tests/vm/web.yaml")}
