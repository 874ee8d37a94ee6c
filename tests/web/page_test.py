#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The page of mimic web (web/dist) in headless Chromium, against MockApi: what it shows, sends and survives."""
import json

from mock_api import MockMachine, MockMediator
from page_case import ACTIVE, CONTRAST, LABELS, NAMELESS, ROWS, SLOW_CLOCK, TRUE_CLOCK, PageCase, main, row


class PageTest(PageCase):
    def test_shows_the_tree_with_levels_states_and_rates(self):
        self.open()
        labels = self.browser.js(LABELS)
        self.assertEqual(["NUMA node 0", "rpf0", "fabric0", "sw0.port", "sw0.up", "gpu0.port", "gpu0", "gpu0-vf0",
                          "gpu0-vf1", "gpu1.port"], labels[:10])
        self.assertEqual("7 8", self.browser.js(
            f"{row('gpu0')}.getAttribute('aria-level') + ' ' + {row('gpu0-vf0')}.getAttribute('aria-level')"))
        self.assertEqual("2 of 2", self.browser.js(
            f"{row('gpu0-vf1')}.getAttribute('aria-posinset') + ' of ' + {row('gpu0-vf1')}.getAttribute('aria-setsize')"))
        self.assertEqual("active", self.browser.js(f"{row('gpu0')}.querySelector('.state').textContent"))
        number = f"parseFloat({row('gpu0')}.querySelector('.number').textContent)"
        self.browser.wait(f"{number} > 0", "accesses per second")
        # The rate changes and the line moves.
        first = self.browser.js(f"{row('gpu0')}.querySelector('canvas').toDataURL()")
        self.browser.wait(f"{row('gpu0')}.querySelector('canvas').toDataURL() !== {json.dumps(first)}", "the line moves")

    # --- mediators

    def open_mediators(self):
        self.api.mediators["default"] = MockMediator()
        self.open()
        self.browser.wait("!document.querySelector('#views').hidden", "the views are offered")
        self.browser.click("#view-mediators")
        self.browser.wait(f"{self.share(1)} > 0", "shares are measured")

    @staticmethod
    def of_vm(vm, column):
        return f"document.querySelector('[data-vm=\"{vm}\"] [data-column=\"{column}\"]')"

    def share(self, vm):
        return f"parseFloat({self.of_vm(vm, 'Share')}?.textContent)"

    def test_mediators_are_only_offered_where_one_runs(self):
        self.open()
        self.assertTrue(self.browser.js("document.querySelector('#views').hidden"))
        self.api.mediators["default"] = MockMediator()
        self.browser.wait("!document.querySelector('#views').hidden", "the views are offered")

    def test_mediator_shows_shares_and_latencies_that_move(self):
        self.open_mediators()
        browser = self.browser
        browser.wait(f"{self.share(1)} === 75 && {self.share(2)} === 25", "shares by weights 300 and 100")
        self.assertIn("1.5", browser.js(f"{self.of_vm(1, 'Latency')}.textContent"))
        self.assertIn("pool A: 1 of 1 backends ready", browser.text())
        line = f"{self.of_vm(1, 'Latency, 60 s')}.querySelector('canvas').toDataURL()"
        first = browser.js(line)
        browser.wait(f"{line} !== {json.dumps(first)}", "the line of latencies moves")
        self.assertEqual("#view=mediators", browser.js("location.hash"))
        self.assertFalse(browser.js("document.querySelector('#main').checkVisibility()"))
        browser.click("#view-machines")
        browser.wait("document.querySelector('#main').checkVisibility()", "the machines are back")

    def test_weight_quarantine_and_release_have_an_effect(self):
        self.open_mediators()
        browser = self.browser
        browser.js("""(() => { const input = document.querySelector('[data-vm="2"] input');
                               input.value = '900'; input.form.requestSubmit(); })()""")
        browser.wait(f"{self.share(2)} === 75", "VM 2 with weight 900 has 75 %")
        self.assertEqual(900, self.api.mediators["default"].vms[2]["weight"])
        self.assertIn("VM 2 has weight 900", browser.text())
        button = '[data-vm="1"] [data-column="action"] button'
        browser.click(button)
        browser.wait(f"{self.share(2)} === 100 && {self.share(1)} === 0", "VM 1 is kept out")
        self.assertIn("quarantined: by hand", browser.js(f"{self.of_vm(1, 'State')}.textContent"))
        self.assertEqual("Release", browser.js(f"document.querySelector('{button}').textContent"))
        browser.click(button)
        browser.wait(f"{self.share(1)} === 25", "VM 1 is let in again")
        # What the mediator refuses is said.
        browser.js("""(() => { const input = document.querySelector('[data-vm="2"] input');
                               input.value = '666'; input.form.requestSubmit(); })()""")
        browser.wait("document.querySelector('.mediator .error')?.textContent.includes('does not like')", "the refusal")
        browser.events.clear()  # the browser complains about every status above 399

    def test_mediators_are_readable_and_named(self):
        self.open_mediators()
        for scheme in ("light", "dark"):
            self.browser.prefer(prefers_color_scheme=scheme)
            self.assertGreaterEqual(self.browser.js(CONTRAST)[0], 4.5)
        self.assertEqual([], self.browser.js(NAMELESS))
        self.assertEqual(0, self.browser.js("document.documentElement.scrollWidth - innerWidth"))

    def test_token_leaves_the_address_bar_and_is_asked_for_when_wrong(self):
        self.open()
        self.assertEqual(f"http://127.0.0.1:{self.api.port}/", self.browser.js("location.href"))
        self.browser.js("sessionStorage.clear()")
        self.browser.open(f"http://127.0.0.1:{self.api.port}/#token=wrong")
        self.browser.wait("document.querySelector('#token') !== null", "the form for the token")
        self.assertIn("not the one of the server", self.browser.text())
        self.browser.js("document.querySelector('#token').value = 'mock-token'")
        self.browser.click("form.token button")
        self.browser.wait(f"{ROWS}.length > 5", "the tree after the right token")

    def test_folds_and_walks_by_keyboard(self):
        self.open()
        browser = self.browser
        browser.js("document.querySelector('#tree').focus()")
        active = f"{ACTIVE}.querySelector('.label').textContent"
        browser.key("End")
        self.assertEqual(MockMachine.HOSTILE, browser.js(active))
        browser.key("Home")
        self.assertEqual("NUMA node 0", browser.js(active))
        browser.key("ArrowLeft")
        self.assertEqual("false", browser.js(f"{ACTIVE}.getAttribute('aria-expanded')"))
        self.assertEqual(["NUMA node 0", "NUMA node 1"], browser.js(LABELS)[:2])
        browser.key("ArrowRight", "ArrowRight", "ArrowDown")
        self.assertEqual("fabric0", browser.js(active))
        browser.key("ArrowLeft", "ArrowLeft")
        self.assertEqual("rpf0", browser.js(active))
        browser.key("ArrowLeft")
        self.assertEqual(["NUMA node 0", "rpf0", "NUMA node 1"], browser.js(LABELS)[:3])
        browser.key("*")  # unfolds all on this level: rpf0 alone; fabric0 below it stays folded
        self.assertEqual(["NUMA node 0", "rpf0", "fabric0", "NUMA node 1"], browser.js(LABELS)[:4])
        browser.click("#unfold")
        self.assertIn("gpu0-vf1", browser.js(LABELS))
        browser.click("#fold")
        self.assertEqual(["NUMA node 0", "NUMA node 1", "Machine"], browser.js(LABELS))
        browser.click("[id='row-numa:1'] .twist")
        self.assertEqual(["NUMA node 0", "NUMA node 1", "rpf1", "Machine"], browser.js(LABELS))

    def test_type_ahead_and_enter_open_a_device(self):
        self.open()
        browser = self.browser
        browser.js("document.querySelector('#tree').focus()")
        browser.type_ahead("gpu1-vf1", f"{ACTIVE}.querySelector('.label').textContent")
        browser.key("Enter")
        browser.wait("document.querySelector('#details-title')?.textContent === 'gpu1-vf1'")
        self.assertEqual("tab-overview", browser.js("document.activeElement.id"))
        browser.key("ArrowRight")
        self.assertEqual("tab-registers", browser.js("document.activeElement.id"))
        browser.key("End")
        self.assertEqual("tab-faults", browser.js("document.activeElement.id"))
        browser.key("ArrowRight", "Escape")
        self.assertEqual("tree", browser.js("document.activeElement.id"))

    def test_vfs_appear_and_go(self):
        self.open()
        self.assertIsNone(self.browser.js(row("gpu0-vf3")))
        self.machine.set_vfs("gpu0", 4)
        self.api.event("vfs", machine="rack", device="gpu0", count=4)
        self.browser.wait(f"{row('gpu0-vf3')} !== null", "the fourth VF")
        self.browser.wait(f"{row('gpu0')}.textContent.includes('4/64 VFs')")
        self.browser.wait("document.querySelector('#events').textContent.includes('has 4 virtual functions')")
        self.machine.set_vfs("gpu0", 0)
        self.browser.wait(f"{row('gpu0-vf0')} === null", "no VF")

    def test_256_functions_stay_cheap(self):
        self.machine = MockMachine(vfs=31)
        self.api.machines = {"rack": self.machine}
        self.open()
        self.browser.wait("document.querySelector('#tree-sum').textContent.startsWith('271 devices')")
        self.assertLess(self.browser.js(f"{ROWS}.length"), 60)
        self.browser.js("document.querySelector('#tree').focus()")
        self.browser.type_ahead("gpu7-vf30", f"{ACTIVE}.querySelector('.label').textContent")
        self.assertIn("gpu7-vf30", self.browser.js(LABELS))
        # Time that scripts and layout take while a few polls go by; all of it on one of two slow cores.
        metrics = [self.metrics()]
        seen = "document.querySelector('#tree-sum').textContent"
        for _ in range(3):
            self.browser.wait(f"{seen} !== {json.dumps(self.browser.js(seen))}")
        metrics.append(self.metrics())
        busy = metrics[1]["TaskDuration"] - metrics[0]["TaskDuration"]
        self.assertLess(busy / (metrics[1]["Timestamp"] - metrics[0]["Timestamp"]), 0.5)
        print(f"256 functions: {100 * busy / (metrics[1]['Timestamp'] - metrics[0]['Timestamp']):.1f} % of a core")

    def metrics(self):
        self.browser.call("Performance.enable", timeDomain="threadTicks")  # of the CPU, whatever the load
        return {entry["name"]: entry["value"] for entry in self.browser.call("Performance.getMetrics")["metrics"]}

    def test_registers_are_decoded_and_changes_are_marked(self):
        self.open()
        self.choose("gpu0", "registers")
        self.browser.wait("document.querySelector('.register[data-name=command]') !== null")
        command = "document.querySelector('.register[data-name=command]')"
        self.assertIn("Bus Master Enable", self.browser.js(f"{command}.querySelector('summary').textContent"))
        self.browser.click(".register[data-name=command] summary")
        self.browser.js(SLOW_CLOCK)
        self.machine.registers["COMMAND"] = 2
        self.browser.wait(f"{command}.classList.contains('changed')", "the change is marked")
        self.browser.js(TRUE_CLOCK)
        self.browser.wait(f"!{command}.classList.contains('changed')", "a change is history after a while")
        self.assertEqual("0x2", self.browser.js(f"{command}.querySelector('.value').textContent"))
        self.assertTrue(self.browser.js(f"{command}.open"), "a refresh must not fold what was unfolded")
        self.browser.js("(() => { const e = document.querySelector('#register-filter'); e.value = 'link';"
                        " e.dispatchEvent(new Event('input')); })()")
        self.assertIn("32 GT/s", self.browser.js("document.querySelector('.registers').innerText"))
        self.assertFalse(self.browser.js(f"{command}.checkVisibility()"))

    def test_trace_records_shows_and_pauses(self):
        self.open()
        self.choose("gpu0", "trace")
        self.browser.wait("document.querySelector('#panel').innerText.includes('not recorded')")
        self.browser.click("#panel .tools button")
        self.browser.wait("document.querySelectorAll('.trace tbody tr').length > 3", "events")
        self.assertEqual(["gpu0"], self.machine.trace["devices"])
        self.assertIn("STATUS", self.browser.js("document.querySelector('.trace').innerText"))
        self.browser.click("#panel .tools button:nth-of-type(2)")
        rows = "document.querySelectorAll('.trace tbody tr').length"
        paused = self.browser.js(rows)
        before = self.browser.js("document.querySelector('#tree-sum').textContent")
        self.browser.wait(f"document.querySelector('#tree-sum').textContent !== {json.dumps(before)}")
        self.assertLessEqual(self.browser.js(rows), paused + 3)  # one request may have been under way

    def test_fault_buttons_send_what_they_say(self):
        self.open()
        self.choose("gpu0", "faults")
        self.browser.wait("document.querySelectorAll('form.fault').length === 5", "a button for each fault")
        self.browser.js("document.querySelector('[aria-label=\"delay of irq-late\"]').value = '20ms'")
        self.browser.js("document.querySelector('[aria-label=\"count of irq-late\"]').value = '3'")
        self.browser.click("[aria-label='Inject irq-late']")
        self.browser.wait("document.querySelector('.standing').innerText.includes('irq-late')")
        self.assertEqual([("gpu0", {"fault": "irq-late", "options": {"delay": "20ms", "count": "3"}})], self.machine.posted)
        self.browser.wait(f"{row('gpu0')}.querySelector('.state').textContent === 'fault'", "the row says it")
        self.browser.wait("document.querySelector('#events').innerText.includes('fault irq-late is active')")
        self.browser.click("#panel .tools button")
        self.browser.wait(f"{row('gpu0')}.querySelector('.state').textContent === 'active'", "cleared")
        self.browser.js("(() => { const e = document.querySelector('#fault-when'); e.value = 'after_accesses';"
                        " e.dispatchEvent(new Event('change')); })()")
        self.browser.click("[aria-label='Inject all-ones']")
        self.browser.wait("document.querySelector('.said').textContent === 'Injected all-ones.'")
        self.assertEqual({"fault": "all-ones", "options": {}, "after_accesses": 100}, self.machine.posted[1][1])

    def test_errors_of_the_api_are_said_in_words(self):
        self.open()
        self.choose("gpu0", "faults")
        self.browser.wait("document.querySelectorAll('form.fault').length === 5")
        self.browser.js("document.querySelector('[aria-label=\"severity of poisoned-tlp\"]').value = 'fatal'")
        self.browser.click("[aria-label='Inject poisoned-tlp']")
        self.browser.wait("document.querySelector('#panel [role=alert]')?.textContent === 'this device has no AER'")
        self.assertEqual([], self.machine.posted)

    def test_hostile_names_stay_text(self):
        self.open()
        self.browser.key("End")
        self.browser.js("document.querySelector('#tree').scrollTop = 1e6")
        name = json.dumps(MockMachine.HOSTILE)
        self.browser.wait(f"{LABELS}.includes({name})")
        self.browser.js(f"{ROWS}.find(e => e.querySelector('.label').textContent === {name}).click()")
        self.browser.wait(f"document.querySelector('#details-title').textContent === {name}")
        self.api.event("machine", machine=MockMachine.HOSTILE, state=MockMachine.HOSTILE)
        self.browser.wait("document.querySelector('#events').textContent.includes('onerror')")
        self.assertEqual(1, self.browser.js("document.querySelectorAll('img').length"))  # the icon

    def test_finds_the_server_again(self):
        self.open()
        self.api.stop()
        self.browser.wait("!document.querySelector('#banner').hidden", "the page says that the server is away")
        self.assertIn("does not answer", self.browser.js("document.querySelector('#banner').textContent"))
        self.assertEqual("not connected", self.browser.js("document.querySelector('#connection').textContent"))
        self.api.start()
        self.browser.wait("document.querySelector('#connection').textContent === 'live'", "connected again")
        self.assertTrue(self.browser.js("document.querySelector('#banner').hidden"))

    def test_machines_come_and_go(self):
        self.api.machines = {}
        self.browser.open(self.api.url)
        self.browser.wait("document.querySelector('#empty').innerText.includes('mimic up FILE')", "what to do")
        self.assertLess(self.browser.js("document.querySelector('#empty').getBoundingClientRect().top"), 150)
        self.assertIn("mimic new FILE", self.browser.text())
        self.assertEqual(1440, self.browser.js("document.querySelector('.tree-pane').clientWidth"))
        self.api.machines = {"rack": self.machine, "other": MockMachine("other", gpus=2)}
        self.browser.wait(f"{ROWS}.length > 5", "the machine appears by itself")
        self.browser.js("(() => { const e = document.querySelector('#machines'); e.value = 'other';"
                        " e.dispatchEvent(new Event('change')); })()")
        self.browser.wait("document.querySelector('#tree-sum').textContent.startsWith('11 devices')", "the other machine")
        self.api.machines = {}
        # At first it may say that there is no such machine: the next answer has none at all.
        self.browser.wait("document.querySelector('#empty').checkVisibility() &&"
                          " document.querySelector('#empty').innerText.includes('No machine runs')", "no machine")
        self.assertEqual(0, self.browser.js(f"{ROWS}.length"))

    def test_dark_and_light_can_be_read(self):
        for scheme, background in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(25, 31, 39)")):
            self.browser.prefer(prefers_color_scheme=scheme)
            self.open()
            self.choose("gpu0", "overview")
            colour = "getComputedStyle(document.querySelector('.tree-pane')).backgroundColor"
            self.assertEqual(background, self.browser.js(colour))
            for tab in ("overview", "registers", "trace", "faults"):
                self.browser.click(f"#tab-{tab}")
                self.browser.wait("document.querySelector('#panel').innerText.length > 20")
                contrast, text = self.browser.js(CONTRAST)
                self.assertGreaterEqual(contrast, 4.5, f"{scheme}, {tab}: {text}")
        self.browser.click("#theme")  # overrules the system: light
        self.browser.wait(f"{colour} === 'rgb(255, 255, 255)'")
        self.browser.js("localStorage.clear()")

    def test_controls_have_names_and_roles(self):
        self.open()
        for tab in ("overview", "registers", "trace", "faults"):
            self.choose("gpu0", tab)
            self.browser.wait("document.querySelector('#panel').innerText.length > 20")
            self.assertEqual([], self.browser.js(NAMELESS))
        self.assertEqual("gpu0, function, active", self.browser.js(f"{row('gpu0')}.getAttribute('aria-label')"))
        roles = {node["role"]["value"] for node in self.browser.call("Accessibility.getFullAXTree")["nodes"]}
        self.assertLessEqual({"tree", "treeitem", "tablist", "tab", "tabpanel", "log", "main", "banner"}, roles)

    def test_words_for_how_often_a_fault_struck(self):
        self.machine.faults["gpu0"] = [
            {"id": at, "fault": "irq-lost", "state": "active", "strikes": strikes, "count": count, "seed": 1}
            for at, (strikes, count) in enumerate(((0, 0), (1, 0), (2, 3), (1, 1), (0, 1)))]
        self.open()
        self.choose("gpu0", "faults")
        self.browser.wait("document.querySelectorAll('.standing tbody tr').length === 5")
        self.assertEqual(["not struck yet, without limit", "struck once, without limit", "struck 2 of 3 times", "struck once",
                          "not struck yet"],
                         self.browser.js("[...document.querySelectorAll('.standing tbody td:last-child')].map(e => e.textContent)"))

    def test_without_a_token_there_is_a_form_for_it(self):
        self.open()
        self.browser.js("sessionStorage.clear()")
        self.browser.open("about:blank")
        self.browser.events.clear()  # what the page before has asked until it went
        self.browser.open(f"http://127.0.0.1:{self.api.port}/")
        self.browser.wait("document.querySelector('#token')?.checkVisibility()", "the form")
        self.assertLess(self.browser.js("document.querySelector('#token').getBoundingClientRect().top"), 200)
        self.assertTrue(self.browser.js("document.querySelector('#banner').hidden"))
        self.assertIn("needs the token", self.browser.text())
        self.assertNotIn("Authorization", self.browser.text())
        self.assertFalse(self.browser.js("document.querySelector('.tree-head').checkVisibility()"))
        # Nothing is asked of a server that can only refuse.
        self.assertEqual([], [url for url in self.browser.requests() if "/v1/" in url])
        self.browser.js("document.querySelector('#token').value = 'mock-token'")
        self.browser.click("form.token button")
        self.browser.wait(f"{ROWS}.length > 5", "the tree")
        self.assertTrue(self.browser.js("document.querySelector('.tree-head').checkVisibility()"))

    def test_a_wrong_address_says_so_and_leads_back(self):
        self.open()
        self.browser.open(f"http://127.0.0.1:{self.api.port}/nothing")
        self.assertIn("There is nothing at this address", self.browser.text())
        self.browser.click("a")
        self.browser.wait(f"{ROWS}.length > 5", "the page")

    def test_an_idle_line_is_no_line(self):
        self.machine.idle = True
        self.open()
        drawn = f"(() => {{ const c = {row('gpu0')}.querySelector('canvas'); return c.getContext('2d')" \
                ".getImageData(0, 0, c.width, c.height).data.some(v => v !== 0); })()"
        seen = "performance.getEntriesByType('resource').filter(e => e.name.endsWith('/devices')).length"
        self.browser.wait(f"{seen} > 3", "a few polls")
        self.assertFalse(self.browser.js(drawn))
        self.machine.idle = False
        self.browser.wait(drawn, "a line once something happens")

    def test_faults_that_cannot_strike_are_not_offered(self):
        self.machine.refused["gpu0"] = [
            {"fault": "receiver-error", "reason": "an endpoint has no AER", "for_now": False},
            {"fault": "irq-late", "reason": "MSI-X is off", "for_now": True}]
        self.open()
        self.choose("gpu0", "faults")
        offered = "[...document.querySelectorAll('form.fault button')].filter(e => e.checkVisibility())"
        self.browser.wait(f"{offered}.length === 4", "four may be injected, now or later")
        names = f"{offered}.filter(e => e.disabled).map(e => e.textContent)"
        self.assertEqual(["irq-late"], self.browser.js(names))
        self.assertIn("MSI-X is off", self.browser.text())
        # A group of which nothing is left has no heading; why not can be read.
        headings = "[...document.querySelectorAll('fieldset.faults')].filter(e => e.checkVisibility()).map(e => e.firstChild.textContent)"
        self.assertNotIn("AER correctable", self.browser.js(headings))
        self.browser.click(".never summary")
        self.browser.wait("/receiver-error\\s+an endpoint has no AER/.test(document.querySelector('.never').innerText)", "the reason")
        # What cannot strike now may do so later.
        self.browser.js("(() => { const e = document.querySelector('#fault-when'); e.value = 'at_us';"
                        " e.dispatchEvent(new Event('change')); })()")
        self.assertEqual([], self.browser.js(names))
        self.browser.click("[aria-label='Inject irq-late']")
        self.browser.wait("document.querySelector('.said').textContent === 'Injected irq-late.'")
        self.assertEqual(["irq-late"], [body["fault"] for _, body in self.machine.posted])

    def test_faults_are_offered_once_it_is_known_which_cannot_strike(self):
        # Reasons that come later would move the buttons, and a click would hit another one.
        self.machine.refused["gpu0"] = [{"fault": "receiver-error", "reason": "an endpoint has no AER", "for_now": False}]
        self.machine.tells_faults.clear()
        self.addCleanup(self.machine.tells_faults.set)
        self.open()
        self.choose("gpu0", "faults")
        self.browser.wait("performance.getEntriesByType('resource').some(e => e.name.endsWith('/v1/faults'))", "all faults")
        self.browser.js("new Promise(done => setTimeout(done, 100))")  # once what came has been shown
        self.assertEqual(0, self.browser.js("document.querySelectorAll('form.fault').length"))
        self.machine.tells_faults.set()
        self.browser.wait("document.querySelectorAll('form.fault').length > 0", "buttons")
        self.assertFalse(self.browser.js("document.querySelector('[aria-label=\"Inject receiver-error\"]').checkVisibility()"))

    def shown(self, device, tab):
        self.browser.wait(f"document.querySelector('#details-title')?.textContent === {json.dumps(device)}", device)
        self.assertEqual(f"tab-{tab}", self.browser.js("document.querySelector('[role=tab][aria-selected=true]').id"))
        self.assertEqual([device], self.browser.js(
            f"{ROWS}.filter(e => e.getAttribute('aria-selected') === 'true').map(e => e.querySelector('.label').textContent)"))

    def test_a_reload_keeps_what_was_chosen(self):
        self.open()
        self.choose("gpu1-vf1", "registers")
        address = self.browser.js("location.href")
        self.assertEqual(f"http://127.0.0.1:{self.api.port}/#machine=rack&device=gpu1-vf1&tab=registers", address)
        self.browser.call("Page.reload")
        self.browser.wait(f"{ROWS}.length > 5")
        self.shown("gpu1-vf1", "registers")
        self.browser.click("#tab-faults")
        self.assertEqual(address.replace("registers", "faults"), self.browser.js("location.href"))
        # It did so without steps in the history, in which a token might have stayed.
        self.assertNotIn("token", json.dumps([entry["url"] for entry in self.browser.call("Page.getNavigationHistory")["entries"]]))

    def test_an_address_can_be_passed_on(self):
        other = MockMachine("other", gpus=2)
        self.api.machines["other"] = other
        self.browser.open("about:blank")
        self.browser.open(f"{self.api.url}&machine=other&device=gpu0-vf2&tab=trace")
        self.browser.wait("document.querySelector('#machines').value === 'other'")
        self.browser.wait(f"{ROWS}.length > 5")
        self.assertNotIn("token", self.browser.js("location.href"))
        # The VF is shown once the guest has enabled it.
        self.assertIsNone(self.browser.js("document.querySelector('#details-title')"))
        other.set_vfs("gpu0", 3)
        self.api.event("vfs", machine="other", device="gpu0", count=3)
        self.shown("gpu0-vf2", "trace")
        # Whatever else may stand in an address: nothing of it is shown or run.
        for end in ("machine=%&device=%E0%A4%A&tab=x", "machine=other&device=<b>&tab=constructor", "&&==&machine"):
            self.browser.js(f"location.hash = {json.dumps(end)}")
        self.browser.js("location.hash = 'machine=other&device=gpu1&tab=faults'")
        self.shown("gpu1", "faults")

    def test_names_of_all_kinds_survive_a_reload(self):
        self.open()
        name = json.dumps(MockMachine.HOSTILE)
        self.browser.js("document.querySelector('#tree').scrollTop = 1e6")
        self.browser.wait(f"{LABELS}.includes({name})")
        self.browser.js(f"{ROWS}.find(e => e.querySelector('.label').textContent === {name}).click()")
        self.browser.call("Page.reload")
        self.browser.wait(f"document.querySelector('#details-title')?.textContent === {name}")


if __name__ == "__main__":
    main()
