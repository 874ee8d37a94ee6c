# SPDX-License-Identifier: Apache-2.0
"""Browser: a headless Chromium, driven through the DevTools protocol over a pair of pipes. Needs nothing but Python."""
import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
DEADLINE = 60  # seconds, for conditions and answers; on a busy machine a page needs some of them
VIRTUAL_KEYS = {
    "ArrowDown": 40, "ArrowUp": 38, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Escape": 27, "Home": 36,
    "End": 35, "PageDown": 34, "PageUp": 33, "Tab": 9, " ": 32,
}


class BrowserError(Exception):
    """The browser, or a script in the page, failed."""


def find_browser():
    """Path of a Chromium, or None."""
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)


class Browser:
    """One page. Use as a context: the browser ends with it. Only the loopback can be reached."""

    def __init__(self, width=1440, height=900):
        program = find_browser()
        if not program:
            raise BrowserError("there is no Chromium")
        self.profile = tempfile.mkdtemp(prefix="mimic-browser-")
        self.next_id = 0
        self.buffer = b""
        self.events = []
        to_browser, self.write_end = os.pipe()
        self.read_end, from_browser = os.pipe()
        command = [
            program, "--headless", "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "--no-first-run",
            "--disable-gpu", "--disable-dev-shm-usage", "--no-sandbox", "--hide-scrollbars", "--force-color-profile=srgb",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
            # Whatever the page may try to reach, no name resolves and no address answers but those of this machine.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--window-size={width},{height}", "about:blank",
        ]

        def own_group():
            # Runs in the child: descriptors 3 and 4 are the protocol's, in this order.
            os.setsid()
            high = os.dup(from_browser) if from_browser == 3 else from_browser
            os.dup2(to_browser, 3)
            os.dup2(high, 4)

        self.log = tempfile.TemporaryFile()
        # close_fds would close 3 and 4 after own_group() made them unless they are named.
        self.process = subprocess.Popen(command, preexec_fn=own_group, pass_fds=(3, 4, to_browser, from_browser),
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        os.close(to_browser)
        os.close(from_browser)
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        for descriptor in (self.read_end, self.write_end):
            os.close(descriptor)
        self.log.close()
        # Children of the browser may still write for a moment.
        for _ in range(50):
            shutil.rmtree(self.profile, ignore_errors=True)
            if not os.path.exists(self.profile):
                break
            time.sleep(0.1)

    # --- protocol

    def call(self, method, **parameters):
        """One command; its result. Events that come meanwhile are kept in `events`."""
        self.next_id += 1
        message = {"id": self.next_id, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write_end, data):]
        deadline = time.monotonic() + DEADLINE
        while True:
            answer = self._message(deadline, method)
            if answer.get("id") == self.next_id:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _message(self, deadline, what):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read_end], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self.read_end, 1 << 20) if ready else b""
            if not chunk:
                self.log.seek(0)
                tail = self.log.read()[-2000:].decode(errors="replace")
                raise BrowserError(f"no answer to {what}; the browser said:\n{tail}")
            self.buffer += chunk
        line, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(line)

    # --- page

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def js(self, expression):
        """The value of a JavaScript expression; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            text = details.get("exception", {}).get("description", details["text"])
            raise BrowserError(f"{expression}: {text}")
        return answer["result"].get("value")

    def wait(self, condition, what=None, seconds=DEADLINE):
        """Waits until a JavaScript expression is true; its value."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                value = self.js(condition)
            except BrowserError:
                value = None  # between two documents
            if value:
                return value
            if time.monotonic() > deadline:
                raise BrowserError(f"never: {what or condition}\npage: {self.text()[:1500]}")
            time.sleep(0.05)

    def text(self):
        return self.js("document.body.innerText")

    def click(self, selector):
        """A real click in the middle of an element, which is scrolled into sight; once the element is what is there, and stays
        where it is from one frame to the next."""
        quoted = json.dumps(selector)
        x, y = self.wait(f"""new Promise(done => {{
            const e = document.querySelector({quoted});
            if (!e) return done(null);
            e.scrollIntoView({{block: 'nearest'}});
            const middle = () => {{ const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }};
            const before = middle();
            requestAnimationFrame(() => requestAnimationFrame(() => {{
                const after = middle(), there = document.elementFromPoint(...after);
                const is_still = e.isConnected && before.every((value, i) => value === after[i]);
                done(is_still && there && e.contains(there) ? after : null);
            }}));
        }})""", f"there is a {selector} that can be clicked")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, *keys):
        """Presses and releases keys, by their DOM names."""
        for key in keys:
            parameters = {"key": key, "code": key if len(key) > 1 else ""}
            code = VIRTUAL_KEYS.get(key) or ord(key.upper())
            parameters.update(windowsVirtualKeyCode=code, nativeVirtualKeyCode=code)
            text = {"Enter": "\r", "Tab": ""}.get(key, key if len(key) == 1 else "")
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **parameters)
            self.call("Input.dispatchKeyEvent", type="keyUp", **parameters)

    def type_ahead(self, text, active):
        """Types a row's name into the tree until the JavaScript expression `active` says it: the tree begins anew with a key
        that comes late, as on a busy machine."""
        deadline = time.monotonic() + DEADLINE
        self.key(*text)
        while self.js(active) != text:
            if time.monotonic() > deadline:
                raise BrowserError(f"typing {text} never leads to it: {self.js(active)}")
            time.sleep(1)  # longer than what is one word to the tree (kTypeAhead_ms)
            self.key(*text)

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, **features):
        """Media features, such as prefers_color_scheme="dark"."""
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def screenshot(self, path):
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        with open(path, "wb") as file:
            file.write(data)

    def requests(self):
        """URLs of everything that was asked for, in order."""
        self.js("0")  # takes what has come
        return [event["params"]["request"]["url"] for event in self.events
                if event.get("method") == "Network.requestWillBeSent"]

    def complaints(self):
        """Exceptions, and errors of the console: broken scripts, and what the security policy forbade."""
        self.js("0")
        found = []
        for event in self.events:
            if event.get("method") == "Runtime.exceptionThrown":
                details = event["params"]["exceptionDetails"]
                found.append(details.get("exception", {}).get("description", details["text"]))
            elif event.get("method") == "Log.entryAdded":
                entry = event["params"]["entry"]
                # That a server was away or said no is what some tests are about; the page says it in words.
                if entry["level"] == "error" and entry["source"] != "network":
                    found.append(entry["text"])
        return found
