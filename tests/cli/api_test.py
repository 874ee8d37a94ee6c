# SPDX-License-Identifier: Apache-2.0
"""mimic api and mimic web from the outside, on a machine without a guest: api_test.py BIN SOURCE

Every GET of the OpenAPI document is asked and its answer checked against the schema there; tokens, hosts, methods,
bodies and sizes that are wrong get the answer that the document promises; a reader of events that does not read
holds up nobody."""
import contextlib
import fcntl
import http.client
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

try:
    import jsonschema
except ImportError:  # an interpreter that is not Debian's; the package is pure Python
    sys.path.append("/usr/lib/python3/dist-packages")
    import jsonschema

BIN, SOURCE = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
TOKEN = "0123456789abcdef0123456789abcdef"
TOPOLOGY = """version: 1
machine:
  name: box
  devices:
    - {name: gpu0, model: mock-accel, sriov: native, vfs: {count: 2}}
    - {name: gpu1, model: mock-accel}
"""
MEDIATOR = """version: 1
pools: [{id: A, backends: [{kind: sim, model: fixed}]}]
vms: [{id: 7, weight: 30}]
"""
# What a GET of the document needs to be asked for.
NAMES = {"{machine}": "box", "{mediator}": "default", "{vm}": "7", "{name}": "gpu1", "{device}": "gpu1", "{m}": "box", "{d}": "gpu1"}


def json_schema(value):
    """What OpenAPI 3.0 writes as nullable, as JSON Schema writes it."""
    if isinstance(value, list):
        return [json_schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    converted = {key: json_schema(item) for key, item in value.items() if key != "nullable"}
    return {"anyOf": [converted, {"type": "null"}]} if value.get("nullable") is True else converted


class Machine:
    """A device host in a run folder whose lock is held, a mediator, and `mimic web` on a port."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=folder, XDG_STATE_HOME=folder + "/state", HOME=folder)
        run = self.folder / "mimic" / "box"
        run.mkdir(parents=True, mode=0o700)
        run.parent.chmod(0o700)
        (self.folder / "box.yaml").write_text(TOPOLOGY)
        self.lock = open(run / "lock", "w", encoding="ascii")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.processes = []
        self.dumps = self.folder / "dumps"
        self.host = self.start("serve", str(self.folder / "box.yaml"), "--run-dir", str(run),
                               "--control", str(run / "control-0.sock"), "--dump-dir", str(self.dumps))
        (self.folder / "mediator.yaml").write_text(MEDIATOR)
        self.start("--quiet", "--config", str(self.folder / "mediator.yaml"), program="mimic-mediator")
        token = self.folder / "token"
        token.write_text(TOKEN + "\n")
        token.chmod(0o600)
        self.address = self.start("web", "--token-file", str(token)).split()[0]
        self.port = int(self.address.split(":")[2].split("/")[0])

    def start(self, *arguments, program="mimic"):
        """The first line of a program that goes on."""
        process = subprocess.Popen([BIN / program, *arguments], env=self.environment, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.processes.append(process)
        ready, _, _ = select.select([process.stdout], [], [], 60)
        line = process.stdout.readline() if ready else ""
        if not line:
            raise AssertionError(f"{arguments} said nothing")
        return line

    def close(self):
        # Backends would wait half a minute for the next mediator, and hold what this test prints to.
        pools = json.loads(self.ask("/v1/mediators/default/pools")[1])["pools"]
        backends = [backend["pid"] for pool in pools for backend in pool["backends"]]
        statuses = []
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            statuses.append(process.wait(timeout=60))
            process.stdout.close()
        for pid in backends:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.lock.close()
        return statuses

    def ask(self, path, method="GET", body=None, token=TOKEN, host=None, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True)
            connection.putheader("Host", host if host is not None else f"127.0.0.1:{self.port}")
            if token is not None:
                connection.putheader("Authorization", f"Bearer {token}")
            for name, value in headers:
                connection.putheader(name, value)
            data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            if data is not None:
                connection.putheader("Content-Type", "application/json")
                connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            response = connection.getresponse()
            return response, response.read()


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sandbox = tempfile.TemporaryDirectory(prefix="mapi-")
        cls.machine = Machine(cls.sandbox.name)

    @classmethod
    def tearDownClass(cls):
        statuses = cls.machine.close()
        cls.sandbox.cleanup()
        assert statuses == [0, 0, 0], statuses

    def status(self, *arguments, **options):
        return self.machine.ask(*arguments, **options)[0].status

    def get(self, path):
        response, body = self.machine.ask(path)
        self.assertEqual(200, response.status, (path, body))
        return json.loads(body)

    def standing(self):
        return [fault["state"] for fault in self.get("/v1/machines/box/devices/gpu1/faults")["faults"]
                if fault["state"] in ("armed", "active")]

    def refused(self, status, code, *arguments, **options):
        response, body = self.machine.ask(*arguments, **options)
        self.assertEqual(status, response.status, body)
        error = json.loads(body)["error"]
        self.assertEqual(code, error["code"])
        return error

    def test_token(self):
        for token in (None, "", TOKEN[:-1], TOKEN + "0", TOKEN.upper()):
            self.assertEqual(401, self.status("/v1/machines", token=token), token)
            self.assertEqual(401, self.status("/metrics", token=token), token)
        self.assertEqual(401, self.status("/v1/machines/box/devices/gpu1/faults", method="POST",
                                          body={"fault": "all-ones"}, token=None))
        self.assertEqual([], self.standing())

    def test_foreign_hosts(self):
        for host in ("", "evil.example", f"evil.example:{self.machine.port}", "127.0.0.1", "127.0.0.1:1"):
            self.assertIn(self.status("/v1/machines", host=host), (400, 421), host)
        self.assertEqual(200, self.status("/v1/machines", host=f"localhost:{self.machine.port}"))

    def test_only_loopback_listens(self):
        hexadecimal = f":{self.machine.port:04X}"
        with open("/proc/net/tcp", encoding="ascii") as table:
            local = [line.split()[1] for line in table if line.split()[1].endswith(hexadecimal) and
                     line.split()[3] == "0A"]
        self.assertEqual([f"0100007F{hexadecimal}"], local)

    def test_no_other_origin_may_read(self):
        response, _ = self.machine.ask("/v1/machines", headers=[("Origin", "http://evil.example")])
        self.assertIsNone(response.getheader("Access-Control-Allow-Origin"))
        self.assertEqual("nosniff", response.getheader("X-Content-Type-Options"))
        self.assertEqual("no-store", response.getheader("Cache-Control"))

    def test_page(self):
        response, page = self.machine.ask("/", token=None)
        self.assertEqual(200, response.status)
        self.assertIn("default-src 'self'", response.getheader("Content-Security-Policy"))
        self.assertIn(b"<html", page)
        etag = response.getheader("ETag")
        again, nothing = self.machine.ask("/", token=None, headers=[("If-None-Match", etag)])
        self.assertEqual((304, b""), (again.status, nothing))
        self.assertEqual(405, self.status("/", method="POST", body={}, token=None))
        # A wrong address is a page for people, an error of the API for programs.
        browser = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")]
        for path, status, words in (("/nothing", 404, b"nothing at this address"), ("/v1/machines", 401, b"mimic web")):
            response, page = self.machine.ask(path, token=None, headers=browser)
            self.assertEqual((status, "text/html; charset=utf-8"), (response.status, response.getheader("Content-Type")))
            self.assertIn(words, page)
        response, page = self.machine.ask("/", host="evil.example", headers=browser)
        self.assertEqual(421, response.status)
        self.assertIn(b"--tunnel-port", page)
        self.refused(404, "not_found", "/nothing")
        self.refused(404, "not_found", "/nothing", token=None)
        self.assertIn("Bearer TOKEN", self.refused(401, "unauthorized", "/v1/machines", token=None)["message"])

    def test_answers_are_as_the_document_says(self):
        document = json_schema(self.get("/v1/openapi.json"))
        asked = 0
        for path, item in document["paths"].items():
            if "gateway" not in item.get("x-served-by", []) or "get" not in item:
                continue
            content = item["get"]["responses"]["200"].get("content", {})
            if "application/json" not in content or path == "/v1/openapi.json":
                continue
            url = path
            for name, value in NAMES.items():
                url = url.replace(name, value)
            schema = dict(content["application/json"]["schema"], components=document["components"])
            jsonschema.Draft7Validator(schema).validate(self.get(url))
            asked += 1
        self.assertGreaterEqual(asked, 11)

    def test_metrics_of_all_processes_have_each_family_once(self):
        response, body = self.machine.ask("/metrics")
        self.assertEqual(200, response.status)
        types = [line.split()[2] for line in body.decode().splitlines() if line.startswith("# TYPE ")]
        self.assertEqual(sorted(set(types)), sorted(types))
        self.assertIn('mimic_device_connected{machine="box",device="gpu1"} 0', body.decode())
        self.assertIn('mimic_mediator_vm_weight{vm="7",mediator="default"} ', body.decode())
        self.assertIn('mimic_trace_buffer_bytes{loop="0",machine="box",process="control-0"} ', body.decode())

    def test_a_mediator_is_steered_through_the_gateway(self):
        vm = "/v1/mediators/default/vms/7"
        response, body = self.machine.ask(vm, method="PATCH", body={"weight": 60, "limits": {"queue_depth": 5}})
        self.assertEqual(200, response.status, body)
        self.assertEqual((60, 5), (json.loads(body)["weight"], json.loads(body)["limits"]["queue_depth"]))
        response, body = self.machine.ask(vm + "/quarantine", method="PUT", body={"reason": "noise"})
        self.assertEqual("noise", json.loads(body)["quarantine"]["reason"])
        self.assertEqual(1, self.get("/v1/mediators/default")["quarantined"])
        self.assertEqual(200, self.status(vm + "/quarantine", method="DELETE"))
        self.assertIsNone(self.get(vm)["quarantine"])
        # The file says 30.
        self.assertEqual(200, self.status("/v1/mediators/default/reload", method="POST"))
        self.assertEqual(30, self.get(vm)["weight"])
        self.refused(400, "bad_request", vm, method="PATCH", body={"weight": 0})
        self.refused(404, "unknown_vm", "/v1/mediators/default/vms/8")
        self.refused(404, "not_found", "/v1/mediators/default/vms/..%2f..%2fmetrics")
        self.assertEqual(["default"], self.refused(404, "unknown_mediator", "/v1/mediators/defualt")["nearest"])
        self.assertEqual(401, self.status(vm, method="PATCH", body={"weight": 1}, token=None))

    def test_unknown_names_have_neighbours(self):
        self.assertEqual(["box"], self.refused(404, "unknown_machine", "/v1/machines/bax")["nearest"])
        self.assertIn("gpu1", self.refused(404, "unknown_device", "/v1/machines/box/devices/gpu2")["nearest"])
        self.refused(404, "not_found", "/v1/machines/..%2f..%2fetc")
        self.refused(404, "not_found", "/v1/nothing")
        self.refused(405, "method_not_allowed", "/v1/machines", method="DELETE")

    def test_bodies_wrong_in_every_field(self):
        path = "/v1/machines/box/devices/gpu1/faults"
        for body in (b"", b"{", b"[]", b"null", b"\xff\xfe", b'"all-ones"', b"{}", {"fault": 1}, {"fault": "x"},
                     {"fault": "all-ones", "options": 1}, {"fault": "all-ones", "options": {"count": {}}},
                     {"fault": "all-ones", "at_us": "1"}, {"fault": "all-ones", "at_us": -1},
                     {"fault": "all-ones", "after_accesses": 1.5}, {"fault": "all-ones", "seed": []},
                     {"fault": "all-ones", "more": 1}, {"fault": "all-ones", "at_us": 1, "after_accesses": 1},
                     b"[" * 5000):
            response, answer = self.machine.ask(path, method="POST", body=body)
            self.assertEqual(400, response.status, (body, answer))
            self.assertTrue(json.loads(answer)["error"]["message"], body)
        self.assertEqual([], self.standing())

    def test_fault_by_post(self):
        path = "/v1/machines/box/devices/gpu1/faults"
        response, answer = self.machine.ask(path, method="POST",
                                            body={"fault": "all-ones", "after_accesses": 1000})
        self.assertEqual(201, response.status, answer)
        self.assertEqual(["armed"], self.standing())
        self.assertEqual(200, self.status(path, method="DELETE"))

    def test_oversized(self):
        path = "/v1/machines/box/devices/gpu1/faults"
        self.refused(413, "too_large", path, method="POST", body=b"x" * 100_000)
        # The parser of the library answers these itself, or hangs up.
        for target, headers in (("/" + "a" * 60_000, ()), ("/v1/machines", [("X-Long", "a" * 60_000)])):
            with contextlib.suppress(ConnectionError, http.client.HTTPException):
                self.assertIn(self.status(target, headers=headers), (400, 404, 413, 414, 431))
        self.assertEqual(200, self.status("/v1/machines"))

    def test_a_reader_that_does_not_read_holds_up_nobody(self):
        request = (f"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{self.machine.port}\r\n"
                   f"Authorization: Bearer {TOKEN}\r\n\r\n").encode()
        with socket.create_connection(("127.0.0.1", self.machine.port), timeout=60) as slow:
            slow.sendall(request)
            self.assertIn(b"200", slow.recv(64))
            for _ in range(50):
                self.status("/v1/machines/box/devices/gpu1/faults", method="POST",
                            body={"fault": "all-ones", "after_accesses": 1000})
                self.status("/v1/machines/box/devices/gpu1/faults", method="DELETE")
            self.assertEqual(200, self.status("/v1/machines/box/devices"))

    @contextlib.contextmanager
    def events(self):
        """The machine's events, from now on none missed: a function that reads until some bytes are in them."""
        request = (f"GET /v1/machines/box/events HTTP/1.1\r\nHost: 127.0.0.1:{self.machine.port}\r\n"
                   f"Authorization: Bearer {TOKEN}\r\n\r\n").encode()
        with socket.create_connection(("127.0.0.1", self.machine.port), timeout=60) as reader:
            reader.sendall(request)
            text = b""

            def until(wanted):
                nonlocal text
                # To the end of that event.
                while wanted not in text or b"\n\n" not in text[text.index(wanted):]:
                    some = reader.recv(65536)
                    self.assertTrue(some, text)
                    text += some
                return text

            # The head comes when the gateway has the streams of all processes.
            while b"\r\n\r\n" not in text:
                text += reader.recv(65536)
            self.assertIn(b"200", text)
            yield until

    def test_events_are_streamed(self):
        path = "/v1/machines/box/devices/gpu1/faults"
        with self.events() as until:
            self.status(path, method="POST", body={"fault": "all-ones", "after_accesses": 1000})
            self.status(path, method="DELETE")
            text = until(b'"cleared"')
        self.assertIn(b"event: fault", text)
        self.assertIn(b'"state":"armed"', text)
        self.assertIn(b'"machine":"box"', text)

    def test_a_fault_leaves_a_dump_and_an_event_says_where(self):
        with self.events() as until:
            self.assertEqual(201, self.status("/v1/machines/box/devices/gpu1/faults", method="POST",
                                              body={"fault": "host-hang", "options": {"delay": "1ms"}}))
            text = until(b"event: trace-dump")
        event = text[text.index(b"event: trace-dump"):].split(b"\n\n")[0]
        data = json.loads(next(line for line in event.splitlines() if line.startswith(b"data:"))[5:])
        self.assertEqual(("box", "gpu1"), (data["machine"], data["device"]))
        path = pathlib.Path(data["path"])
        self.assertEqual(self.machine.dumps, path.parent)
        self.assertEqual(0o600, path.stat().st_mode & 0o777)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        self.assertEqual("box", lines[0]["machine"])
        self.assertTrue(lines[-1]["end"])
        struck = [line for line in lines[1:-1] if line["kind"] in ("fault", "error")]
        self.assertIn("host-hang struck", [line.get("text") for line in struck])
        self.assertIn(str(path), self.get("/v1/machines/box/trace")["dumps"])


class Dashboard(unittest.TestCase):
    def test_every_metric_of_the_dashboard_is_documented(self):
        import re
        known = set(re.findall(r"^\| `([a-z_]+)`", (SOURCE / "docs" / "metrics.md").read_text(), re.M))
        board = json.loads((SOURCE / "deploy" / "grafana" / "mimic.json").read_text())
        used = set(re.findall(r"\b(?:mimic|process)_[a-z_]+", json.dumps(board)))
        self.assertTrue(used)
        self.assertEqual(set(), used - known)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
