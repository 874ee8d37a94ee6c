#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The picture of the machine on the page of mimic web: what it shows, that it is alive, and how one gets about in it."""
import json

from mock_api import MockMachine
from page_case import LABELS, ROWS, SLOW_CLOCK, TRUE_CLOCK, PageCase, main

PICTURE = "document.querySelector('.machine-picture')"
TEXT = f"{PICTURE}.textContent"
# Lowest contrast of a text of the picture with the shape that lies behind it (WCAG 2.1, 1.4.3), and the text.
PICTURE_CONTRAST = """(() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const rects = [...document.querySelectorAll('.machine-picture rect')];
    const found = [...document.querySelectorAll('.machine-picture text')].filter(e => e.textContent.trim()).map(e => {
        const box = e.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
        const behind = rects.filter(rect => {
            const r = rect.getBoundingClientRect();
            return r.left <= x && x <= r.right && r.top <= y && y <= r.bottom && getComputedStyle(rect).fill !== 'none';
        }).pop();
        const [a, b] = [luminance(parse(getComputedStyle(e).fill)), luminance(parse(getComputedStyle(behind).fill))];
        return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.textContent];
    });
    return found.sort((a, b) => a[0] - b[0])[0];
})()"""


def piece(name):
    return f"[...document.querySelectorAll('.machine-picture [data-id]')].find(e => e.dataset.id === {json.dumps('device:' + name)})"


class PictureTest(PageCase):
    def picture(self):
        self.open()
        self.browser.wait(f"{PICTURE}?.querySelectorAll('[data-id]').length > 5", "the picture")

    def test_shows_ports_links_and_functions_with_what_passes(self):
        self.picture()
        text = self.browser.js(TEXT)
        for word in ("NUMA node 0", "NUMA node 1", "Domain 10000", "rpf0", "gen5 x16", "gen4 x16", "mock-accel", "2 of 64 VFs enabled"):
            self.assertIn(word, text)
        self.browser.wait(f"/gpu0, function, active, 10000:03:00.0.*gen5 x16 .32 GT.s..*accesses.s, .* interrupts.s, .* DMA/.test("
                          f"{piece('gpu0')}.getAttribute('aria-label'))", "the piece says all that is known of it")
        # What passes a link stands below it and makes it thicker.
        self.browser.wait(f"[...{PICTURE}.querySelectorAll('text')].some(e => /KiB.s$/.test(e.textContent))", "a rate on a link")
        width = f"Math.max(...[...{PICTURE}.querySelectorAll('path.link')].map(e => Number(e.getAttribute('stroke-width'))))"
        self.browser.wait(f"{width} > 3", "a busy link")
        self.machine.idle = True
        self.browser.wait(f"{width} === 2", "an idle link")
        self.browser.wait(f"!/KiB.s/.test({TEXT})", "nothing is said of what does not pass")

    def test_is_drawn_once_and_then_changes_in_place(self):
        self.picture()
        self.browser.js(f"window.kept = [{PICTURE}, {piece('gpu0')}]; window.added = 0;"
                        "new MutationObserver(list => list.forEach(m => added += [...m.addedNodes].filter(n => n.nodeType === 1).length))"
                        f".observe({PICTURE}, {{childList: true, subtree: true}})")
        label = f"{piece('gpu0')}.getAttribute('aria-label')"
        first = self.browser.js(label)
        self.browser.wait(f"{label} !== {json.dumps(first)}", "rates that move")
        self.assertTrue(self.browser.js(f"kept[0] === {PICTURE} && kept[1] === {piece('gpu0')} && added === 0"))

    def test_faults_links_and_slots_appear(self):
        self.picture()
        # What a colour says, a word or a shape says too.
        self.browser.js(SLOW_CLOCK)
        self.machine.inject("gpu0", {"fault": "all-ones"})
        self.browser.wait(f"{piece('gpu0')}.dataset.tone === 'bad' && /fault/.test({piece('gpu0')}.textContent)", "the fault")
        self.assertIn("faults: 1 active", self.browser.js(f"{piece('gpu0')}.querySelector('title').textContent"))
        self.assertEqual("", self.browser.js(f"{piece('gpu0')}.dataset.struck"))
        self.machine.clear("gpu0")
        self.browser.wait(f"{piece('gpu0')}.dataset.tone === 'ok'", "cleared")
        self.browser.js(TRUE_CLOCK)
        self.browser.wait(f"{piece('gpu0')}.dataset.struck === undefined", "a strike is history after a while")
        self.browser.js(SLOW_CLOCK)
        self.machine.devices["gpu0"]["faults"] = {"armed": 0, "active": 0, "struck": 2}
        self.browser.wait(f"{piece('gpu0')}.dataset.struck === '' && /struck/.test({piece('gpu0')}.querySelector('.state-text')"
                          ".textContent)", "a strike of a fault that is over, in a word")
        self.assertIn("a fault struck", self.browser.js(f"{piece('gpu0')}.getAttribute('aria-label')"))
        self.browser.js(TRUE_CLOCK)
        self.browser.wait(f"/active/.test({piece('gpu0')}.querySelector('.state-text').textContent)", "its state again")
        self.machine.devices["gpu1.port"]["link_up"] = False
        self.machine.devices["gpu1"]["present"] = False
        self.browser.wait(f"/link down/.test({TEXT}) && /empty slot/.test({TEXT})", "an empty slot")
        self.browser.wait(f"{PICTURE}.querySelectorAll('.device[data-absent]').length === 1", "its frame")

    def test_vfs_appear_as_lines_and_as_cells(self):
        self.picture()
        self.machine.set_vfs("gpu0", 4)
        self.api.event("vfs", machine="rack", device="gpu0", count=4)
        self.browser.wait(f"{piece('gpu0-vf3')} !== undefined && /4 of 64 VFs/.test({TEXT})", "the fourth VF")
        self.machine.set_vfs("gpu0", 31)
        self.api.event("vfs", machine="rack", device="gpu0", count=31)
        self.browser.wait(f"{PICTURE}.querySelectorAll('.cell-piece').length === 31", "cells")
        self.machine.inject("gpu0-vf30", {"fault": "all-ones"})
        self.browser.wait(f"{piece('gpu0-vf30')}.querySelector('.mark').textContent === '!'", "the fault of a cell")
        self.machine.set_vfs("gpu0", 0)
        self.browser.wait(f"/0 of 64 VFs/.test({TEXT}) && {piece('gpu0-vf0')} === undefined", "no VF")

    def test_256_vfs_of_a_device_stay_cheap(self):
        self.machine = MockMachine(gpus=2, vfs=0)
        self.machine.set_vfs("gpu0", 300)
        self.api.machines = {"rack": self.machine}
        self.picture()
        self.assertEqual(256, self.browser.js(f"{PICTURE}.querySelectorAll('.cell-piece').length"))
        self.assertIn("256 of them shown", self.browser.js(TEXT))
        self.browser.call("Performance.enable", timeDomain="threadTicks")  # of the CPU, whatever the load
        metrics = lambda: {e["name"]: e["value"] for e in self.browser.call("Performance.getMetrics")["metrics"]}  # noqa: E731
        before = metrics()
        seen = "document.querySelector('#tree-sum').textContent"
        for _ in range(3):
            self.browser.wait(f"{seen} !== {json.dumps(self.browser.js(seen))}")
        after = metrics()
        share = (after["TaskDuration"] - before["TaskDuration"]) / (after["Timestamp"] - before["Timestamp"])
        print(f"256 VFs in the picture: {100 * share:.1f} % of a core")
        self.assertLess(share, 0.5)

    def test_a_piece_opens_its_device_and_the_picture_comes_back(self):
        self.picture()
        self.browser.js(f"{piece('gpu1-vf1')}.id = 'wanted'")
        self.browser.click("#wanted rect")
        self.browser.wait("document.querySelector('#details-title')?.textContent === 'gpu1-vf1'")
        self.assertEqual(["gpu1-vf1"], self.browser.js(f"{ROWS}.filter(e => e.getAttribute('aria-selected') === 'true')"
                                                       ".map(e => e.querySelector('.label').textContent)"))
        self.browser.click(".to-picture")
        self.browser.wait(f"{PICTURE}.checkVisibility()", "the picture again")
        # Who uses a mouse sees no frame of the keyboard's.
        self.assertEqual("none", self.browser.js("getComputedStyle(document.activeElement).outlineStyle"))
        self.assertEqual("#machine=rack&view=picture", self.browser.js("location.hash"))
        self.assertEqual(0, self.browser.js(f"{ROWS}.filter(e => e.getAttribute('aria-selected') === 'true').length"))

    def test_is_one_stop_of_the_tab_key_with_arrows_inside(self):
        self.picture()
        self.assertEqual(1, self.browser.js(f"{PICTURE}.querySelectorAll('[tabindex=\"0\"]').length"))
        self.browser.js(f"{PICTURE}.querySelector('[tabindex=\"0\"]').focus()")
        focus = "document.activeElement.dataset.id"
        self.assertEqual("device:fabric0", self.browser.js(focus))
        self.browser.key("ArrowDown", "ArrowRight")
        self.assertEqual("device:sw0.up", self.browser.js(focus))
        self.browser.key("ArrowUp", "End")
        self.assertEqual(f"device:{MockMachine.HOSTILE}", self.browser.js(focus))
        self.browser.key("Home", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown")
        self.assertEqual("device:gpu0", self.browser.js(focus))
        # A VF more draws the picture anew, and the focus stays.
        self.machine.set_vfs("gpu0", 3)
        self.api.event("vfs", machine="rack", device="gpu0", count=3)
        self.browser.wait(f"{piece('gpu0-vf2')} !== undefined", "the third VF")
        self.assertEqual("device:gpu0", self.browser.js(focus))
        self.browser.key("Enter")
        self.browser.wait("document.querySelector('#details-title')?.textContent === 'gpu0'")
        self.assertEqual("tab-overview", self.browser.js("document.activeElement.id"))
        unnamed = f"[...{PICTURE}.querySelectorAll('[role=button]')].filter(e => !e.getAttribute('aria-label')).length"
        self.browser.click(".to-picture")
        self.browser.wait(f"{PICTURE}.checkVisibility()")
        self.assertEqual(0, self.browser.js(unnamed))

    def test_hostile_names_stay_text(self):
        self.picture()
        self.assertIn(MockMachine.HOSTILE, self.browser.js(f"{piece(MockMachine.HOSTILE)}.querySelector('title').textContent"))
        self.assertEqual(0, self.browser.js(f"{PICTURE}.querySelectorAll('img').length"))

    def test_can_be_read_in_dark_and_light(self):
        for scheme in ("light", "dark"):
            self.browser.prefer(prefers_color_scheme=scheme)
            self.picture()
            self.machine.inject("gpu0", {"fault": "all-ones"})
            self.machine.devices["gpu1.port"]["link_up"] = False
            self.browser.wait(f"/link down/.test({TEXT})")
            contrast, text = self.browser.js(PICTURE_CONTRAST)
            self.assertGreaterEqual(contrast, 4.5, f"{scheme}: {text}")

    def test_narrow_window_has_it_in_place_of_the_tree(self):
        self.browser.resize(420, 900)
        self.open()
        self.assertIsNone(self.browser.js(f"{PICTURE}?.checkVisibility() ? 1 : null"))
        self.browser.click("#to-picture")
        self.browser.wait(f"{PICTURE}?.checkVisibility()", "the picture")
        self.assertEqual(420, self.browser.js("document.documentElement.scrollWidth"))
        # No text leaves its place.
        self.assertEqual([], self.browser.js(
            f"[...{PICTURE}.querySelectorAll('text')].filter(e => e.getBoundingClientRect().right > innerWidth || "
            "e.getBoundingClientRect().left < 0).map(e => e.textContent)"))
        self.browser.call("Page.reload")
        self.browser.wait(f"{PICTURE}?.checkVisibility()", "the picture after a reload")
        self.browser.js("location.hash = 'machine=rack&device=gpu0'")
        self.browser.wait("document.querySelector('#details-title')?.textContent === 'gpu0'")
        self.browser.js("location.hash = 'machine=rack&view=picture'")
        self.browser.wait(f"{PICTURE}?.checkVisibility()", "the picture of an address")
        self.browser.click(".back")
        self.browser.wait("document.querySelector('#tree').checkVisibility({visibilityProperty: true})", "the tree")
        self.assertEqual("#machine=rack", self.browser.js("location.hash"))

    def test_a_machine_without_a_plan_has_one_too(self):
        self.machine.plan = None
        self.picture()
        for word in ("NUMA node 0", "gpu7", "2 of 64 VFs enabled"):
            self.assertIn(word, self.browser.js(TEXT))

    # --- the tree beside it

    def test_the_tree_can_be_filtered_and_the_filter_passed_on(self):
        self.open()
        self.browser.click("#filter")
        self.browser.key(*"gpu1-vf")
        self.browser.wait(f"{ROWS}.length === 9", "two VFs and what is above them")
        self.assertEqual(["NUMA node 0", "rpf0", "fabric0", "sw0.port", "sw0.up", "gpu1.port", "gpu1", "gpu1-vf0", "gpu1-vf1"],
                         self.browser.js(LABELS))
        self.assertIn("filter=gpu1-vf", self.browser.js("location.hash"))
        self.browser.call("Page.reload")
        self.browser.wait(f"{ROWS}.length > 5 && {LABELS}.includes('gpu1-vf1') && !{LABELS}.includes('gpu2')", "the filter after a reload")
        self.assertEqual("gpu1-vf", self.browser.js("document.querySelector('#filter').value"))
        # By state, as it changes; and what nothing has.
        self.browser.js("location.hash = 'machine=rack&filter=fault'")
        self.browser.wait("document.querySelector('#tree').dataset.none === ''", "no row")
        self.machine.inject("gpu5", {"fault": "all-ones"})
        self.browser.wait(f"{LABELS}.includes('gpu5')", "the row that has a fault")
        self.assertNotIn("gpu4", self.browser.js(LABELS))

    def test_the_filter_of_registers_is_passed_on(self):
        self.open()
        self.choose("gpu0", "registers")
        self.browser.wait("document.querySelector('.register[data-name=command]') !== null")
        self.browser.click("#register-filter")
        self.browser.key(*"link")
        self.browser.wait("location.hash.includes('registers=link')")
        self.browser.call("Page.reload")
        self.browser.wait("document.querySelector('#register-filter')?.value === 'link'")
        self.browser.wait("document.querySelector('.registers')?.innerText.includes('32 GT/s')", "the register that has it")
        self.assertFalse(self.browser.js("document.querySelector('.register[data-name=command]').checkVisibility()"))
        self.assertNotIn("token", self.browser.js("location.href"))

    def test_says_link_width_and_slot(self):
        self.machine.plan["devices"][0]["slot"] = 3
        self.machine.plan["fabrics"][0]["ports"][2]["slot"] = 3
        self.open()
        self.browser.wait(f"/slot 3/.test({PICTURE}?.textContent)", "the slot in the picture")
        for name in ("gpu0", "gpu0-vf1"):  # a VF's are those of its PF
            self.choose(name)
            self.browser.wait("/gen5 x16 .32 GT.s., up/.test(document.querySelector('.facts')?.innerText)", "the link")
            self.assertRegex(self.browser.js("document.querySelector('.facts').innerText"), r"3, occupied")
        self.assertEqual("gpu0-vf1 \u00b7 rack \u00b7 Mimic", self.browser.js("document.title"))

    def test_says_ids_in_words(self):
        self.open()
        self.choose("gpu0")
        facts = "document.querySelector('.facts').innerText"
        self.browser.wait(f"{facts}.includes('Eideticom, Inc, <b>NoLoad</b>')", "vendor and device")
        self.assertIn("0x120000, Processing accelerators", self.browser.js(facts))
        self.assertIn("mock-accel", self.browser.js(facts))
        # Asked once for all devices.
        self.assertEqual([["120000", "1de5:0001"]], self.api.asked_ids)

    def test_numbers_do_where_there_are_no_words(self):
        self.api.pci_names = None
        self.open()
        self.choose("gpu0")
        facts = "document.querySelector('.facts').innerText"
        self.browser.wait(f"{facts}.includes('0x1de5 : 0x0001')", "the numbers")
        self.assertNotIn("Known as", self.browser.js(facts))
        seen = "performance.getEntriesByType('resource').filter(e => e.name.endsWith('/devices')).length"
        polls = self.browser.js(seen)
        self.browser.wait(f"{seen} > {polls} + 2", "more polls")
        self.assertEqual(1, len(self.api.asked_ids))


if __name__ == "__main__":
    main()
