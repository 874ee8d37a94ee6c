#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The layout of the page of mimic web in wide and narrow windows: what is whole, what is in sight, what scrolls."""
from mock_api import MockMediator
from page_case import LINES, ROWS, PageCase, main


class LayoutTest(PageCase):
    def test_narrow_mediators_are_cards(self):
        self.api.mediators["default"] = MockMediator()
        self.open()
        self.browser.wait("!document.querySelector('#views').hidden", "the views are offered")
        self.browser.click("#view-mediators")
        self.browser.wait("document.querySelectorAll('[data-vm]').length === 2", "the VMs")
        for width in (1400, 1000, 420):
            self.browser.resize(width, 900)
            self.assertEqual(0, self.browser.js("(e => e.scrollWidth - e.clientWidth)(document.querySelector('#mediators'))"), width)
            # All that can be done is in sight.
            self.assertEqual([], self.browser.js("[...document.querySelectorAll('.mediator :is(button, input)')].filter(e => "
                                                 "e.getBoundingClientRect().right > innerWidth - 10).map(e => e.outerHTML)"), width)
        self.assertEqual("block", self.browser.js("getComputedStyle(document.querySelector('.mediator table')).display"))
        tops = "[...document.querySelectorAll('.bar h1, #theme, #connection')].map(e => e.getBoundingClientRect())" \
               ".map(r => Math.round((r.top + r.height / 2) / 8))"
        self.assertEqual(1, len(set(self.browser.js(tops))), "name, connection and theme are in a line")

    def test_rows_of_a_trace_are_one_line_each(self):
        self.machine.trace.update(enabled=True, devices="all")
        for width in (1400, 420):
            self.browser.resize(width, 900)
            self.open()
            self.choose("gpu0", "trace")
            self.browser.wait("document.querySelectorAll('.trace tbody tr').length > 8", "events")
            self.assertEqual([], self.browser.js(
                f"[...document.querySelectorAll('.trace tbody td')].filter(e => {LINES}(e) > 1).map(e => e.textContent)"))
            self.assertEqual(width, self.browser.js("document.documentElement.scrollWidth"))
        text = self.browser.js("document.querySelector('.trace').innerText")
        self.assertIn("for reading", text)
        self.assertIn("MEMORY_SPACE BUS_MASTER", text)

        # At the edge beyond which there is more lies a shadow, and the heading stays where it is.
        self.assertIn("linear-gradient", self.browser.js("getComputedStyle(document.querySelector('.trace')).backgroundImage"))
        self.assertGreater(self.browser.js("document.querySelector('.trace').scrollWidth"),
                           self.browser.js("document.querySelector('.trace').clientWidth"))
        trace, head = "document.querySelector('.trace')", "document.querySelector('.trace th').getBoundingClientRect().top"
        self.browser.wait(f"{trace}.scrollHeight > {trace}.clientHeight + 40", "more lines than room")
        self.browser.js(f"{trace}.scrollTop = 30")
        self.assertLess(abs(self.browser.js(f"{head} - {trace}.getBoundingClientRect().top")), 3)

    def test_names_and_hints_of_faults_are_whole(self):
        for width in (1400, 900, 420):
            self.browser.resize(width, 900)
            self.open()
            self.choose("gpu0", "faults")
            self.browser.wait("document.querySelectorAll('form.fault').length === 5")
            self.assertEqual([], self.browser.js(
                f"[...document.querySelectorAll('.fault button')].filter(e => {LINES}(e.firstChild) > 1).map(e => e.textContent)"))
            # A hint that is cut is no hint: as long as its text in the font of its field.
            self.assertEqual([], self.browser.js("""[...document.querySelectorAll('.fault input')].filter(e => {
                const style = getComputedStyle(e), pen = document.createElement('canvas').getContext('2d');
                pen.font = style.font;
                const room = e.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
                return pen.measureText(e.placeholder).width > room;
            }).map(e => e.placeholder)"""), width)
            # All options in a line, or each in one.
            tops = self.browser.js("[...document.querySelectorAll('[aria-label=\"Inject irq-late\"] ~ .options label')]"
                                   ".map(e => Math.round(e.getBoundingClientRect().top / 8))")
            self.assertIn(len(set(tops)), (1, len(tops)), width)
            self.assertEqual(0, self.browser.js("(e => e.scrollWidth - e.clientWidth)(document.querySelector('#panel'))"), width)

    def test_names_of_registers_break_between_words_only(self):
        for width in (1400, 420):
            self.browser.resize(width, 900)
            self.open()
            self.choose("gpu0", "registers")
            self.browser.wait("document.querySelector('[data-name=prefetchable_limit_upper]') !== null")
            # Each piece between two places where a name may break.
            self.assertEqual([], self.browser.js(
                "[...document.querySelectorAll('.register .reg')].filter(e => e.checkVisibility()).flatMap(e => "
                f"[...e.childNodes]).filter(n => n.nodeType === 3 && {LINES}(n) > 1).map(n => n.textContent)"), width)
            if width == 1400:  # there is room for names of 24 characters in a line
                self.assertEqual([], self.browser.js(
                    "[...document.querySelectorAll('.register .reg')].filter(e => e.checkVisibility() && "
                    f"{LINES}(e) > 1).map(e => e.textContent)"))
            self.assertEqual(width, self.browser.js("document.documentElement.scrollWidth"))

    def test_narrow_rows_keep_the_end_of_an_address(self):
        self.browser.resize(420, 800)
        self.open()
        ends = f"{ROWS}.map(e => [e.querySelector('.label'), e.querySelector('.end'), e.querySelector('.name')])" \
               ".filter(([, end]) => end.textContent)"
        shown = self.browser.js(f"{ends}.map(([label, end]) => [label.textContent, end.textContent])")
        self.assertIn(["gpu0", "03:00.0"], shown)
        self.assertIn(["gpu0-vf1", "03:00.2"], shown)
        self.assertEqual([], self.browser.js(
            f"{ends}.filter(([label, end, name]) => end.getBoundingClientRect().right > name.getBoundingClientRect().right "
            "+ 0.5 || end.scrollWidth > end.clientWidth + 1 || label.clientWidth < 20).map(([label]) => label.textContent)"))

    def test_narrow_window_shows_one_thing_at_a_time(self):
        self.browser.resize(480, 800)
        self.open()
        self.assertEqual(480, self.browser.js("document.documentElement.scrollWidth"))
        self.choose("gpu0")
        self.assertFalse(self.browser.js("document.querySelector('#tree').checkVisibility({visibilityProperty: true})"))
        self.browser.click(".back")
        self.browser.wait("document.querySelector('#tree').checkVisibility({visibilityProperty: true})")


if __name__ == "__main__":
    main()
