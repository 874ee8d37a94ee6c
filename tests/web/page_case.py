# SPDX-License-Identifier: Apache-2.0
"""PageCase: a test of the page in one headless Chromium against a MockApi, and expressions that its tests share."""
import json
import sys
import unittest

from browser import Browser, find_browser
from mock_api import MockApi, MockMachine

ROWS = "[...document.querySelectorAll('#tree [role=treeitem]')]"
ACTIVE = "document.getElementById(document.querySelector('#tree').getAttribute('aria-activedescendant'))"
LABELS = f"{ROWS}.map(row => row.querySelector('.label').textContent)"
# Lowest contrast of text with what is behind it, and the text (WCAG 2.1, 1.4.3).
CONTRAST = """(() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
        .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length < 4 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const found = [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && e.tagName !== 'OPTION' &&
        [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())).map(e => {
            const [a, b] = [luminance(parse(getComputedStyle(e).color)), luminance(behind(e))];
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.textContent.slice(0, 40)];
        });
    return found.sort((a, b) => a[0] - b[0])[0];
})()"""
# Controls without a name for those who cannot see them.
NAMELESS = """[...document.querySelectorAll('button, input, select, [role=treeitem], [role=tab]')].filter(e =>
    !(e.getAttribute('aria-label') || e.textContent.trim() || (e.labels && e.labels.length))).map(e => e.outerHTML)"""


# How many lines the text of an element or a text node takes.
LINES = """(node => {
    const range = document.createRange();
    range.selectNodeContents(node);
    return new Set([...range.getClientRects()].map(rect => Math.round(rect.top / 4))).size;
})"""


# What the page shows for some seconds is shown for some hours, and is history at once where the clock goes right again.
SLOW_CLOCK = ("(real => { const now = real(); performance.now = () => now + (real() - now) / 1000; })"
              "(performance.now.bind(performance))")
TRUE_CLOCK = "delete performance.now"


def row(name):
    return f"document.getElementById('row-device:{name}')"


class PageCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    def setUp(self):
        self.machine = MockMachine(vfs=2)
        self.api = MockApi([self.machine])
        self.addCleanup(self.api.stop)
        self.browser.events.clear()
        self.browser.resize(1440, 900)
        self.browser.prefer(prefers_color_scheme="light", prefers_reduced_motion="no-preference")

    def tearDown(self):
        self.assertEqual([], self.browser.complaints())
        for url in self.browser.requests():
            self.assertRegex(url, r"^(http://127\.0\.0\.1:\d+/|about:|blob:)")
        self.browser.open("about:blank")

    def open(self):
        self.browser.open("about:blank")
        self.browser.open(self.api.url)
        self.browser.wait(f"{ROWS}.length > 5", "the tree has rows")
        self.browser.wait("document.querySelector('#connection').textContent === 'live'", "events come")

    def choose(self, name, tab="overview"):
        self.browser.wait(f"{row(name)} !== null", f"{name} is in sight")
        self.browser.click(f"[id='row-device:{name}'] .label")
        self.browser.click(f"#tab-{tab}")


def main():
    if not find_browser():
        print("SKIP: there is no Chromium (tools/setup test installs chromium-headless-shell)")
        sys.exit(77)
    unittest.main(verbosity=2)
