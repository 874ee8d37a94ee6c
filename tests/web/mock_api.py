# SPDX-License-Identifier: Apache-2.0
"""MockApi: answers as the control API does, out of a made-up machine, so that the page can be tested without one.
It is no model of Mimic: what the real server says is tested with the real server (tests/vm, instruments-web)."""
import http.server
import json
import pathlib
import queue
import threading
import time
import urllib.parse

DIST = pathlib.Path(__file__).resolve().parents[2] / "web" / "dist"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml"}
POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
TOKEN = "mock-token"
FAULTS = [
    {"name": "receiver-error", "text": "AER correctable: a bad symbol on the link", "options": []},
    {"name": "poisoned-tlp", "text": "AER uncorrectable: data marked as bad arrived", "options": ["severity"]},
    {"name": "unexpected-completion", "text": "AER uncorrectable: an answer that nobody asked for", "options": ["severity"]},
    {"name": "irq-late", "text": "an interrupt message is sent late", "options": ["count", "delay", "vector"]},
    {"name": "all-ones", "text": "every read gives ones and every write is lost, until cleared", "options": []},
    {"name": "clear", "text": "ends all faults of the device", "options": []},
]
COUNTERS = ("config_reads", "config_writes", "bar_reads", "bar_writes", "interrupts", "dma_reads", "dma_writes",
            "dma_read_bytes", "dma_write_bytes", "errors")


def link(generation=5):
    return {"generation": generation, "speed": "32 GT/s", "width": 16}


def make_plan(name, gpus, hostile):
    """Two NUMA nodes with a fabric each; on each a switch with half of the accelerators."""
    fabrics, devices = [], []
    for node in (0, 1):
        domain = f"1000{node}"
        ports = [
            {"name": f"sw{node}.port", "kind": "root_port", "bdf": f"{domain}:00:00.0", "parent": None},
            {"name": f"sw{node}.up", "kind": "switch_upstream", "bdf": f"{domain}:01:00.0", "parent": f"{domain}:00:00.0"},
        ]
        for index in range(node * gpus // 2, (node + 1) * gpus // 2):
            port = {"name": f"gpu{index}.port", "kind": "switch_downstream", "bdf": f"{domain}:02:{index:02x}.0",
                    "parent": f"{domain}:01:00.0"}
            ports.append(port)
            function = {"name": f"gpu{index}", "kind": "pf", "bdf": f"{domain}:{3 + index:02x}:00.0", "vendor": "0x1de5",
                        "device": "0x0001", "class": "0x120000"}
            devices.append({"name": f"gpu{index}", "model": "mock-accel", "numa_node": node, "fabric": f"fabric{node}",
                            "port": port["bdf"], "sriov": "native", "link": link(), "functions": [function]})
        for port in ports:
            port.update(link=link(), slot=0, hotplug=False)
        fabrics.append({"name": f"fabric{node}", "numa_node": node, "bdf": f"0000:{node + 1}1:00.0", "domain": domain,
                        "root_port": {"id": f"rpf{node}", "bdf": f"0000:{node + 1}0:00.0"}, "ports": ports})
    devices.append({"name": hostile, "model": "mock-accel", "numa_node": -1, "port": "0000:00:02.0", "sriov": None,
                    "root_port": {"id": "rp0", "bdf": "0000:00:02.0"}, "link": link(4),
                    "functions": [{"name": hostile, "kind": "pf", "bdf": "0000:01:00.0", "vendor": "0x1de5",
                                   "device": "0x0001", "class": "0x120000"}]})
    nodes = [{"node": node, "cpus": [node], "memory": 512 << 20} for node in (0, 1)]
    return {"name": name, "numa_nodes": nodes, "fabrics": fabrics, "devices": devices}


class MockMachine:
    """State of the made-up machine. Its methods may be called from any thread."""
    HOSTILE = "<img src=x onerror=alert(1)>"

    def __init__(self, name="rack", gpus=8, vfs=0):
        self.lock = threading.RLock()
        self.name = name
        self.plan = make_plan(name, gpus, self.HOSTILE)
        self.devices = {}
        self.faults = {}
        self.registers = {"COMMAND": 6, "STATUS": 0x10}
        self.trace = {"enabled": False, "devices": [], "data_bytes": 0, "buffer_bytes": 1 << 20}
        self.traced = 0
        self.idle = False
        self.refused = {}  # device: what its answers about faults refuse
        self.tells_faults = threading.Event()  # else who asks what stands waits
        self.tells_faults.set()
        self.posted = []
        for fabric in self.plan["fabrics"]:
            self._add(fabric["name"], "fabric", fabric["bdf"], fabric["numa_node"], None)
            for port in fabric["ports"]:
                self._add(port["name"], "port", port["bdf"], fabric["numa_node"], fabric["name"])
        for device in self.plan["devices"]:
            function = device["functions"][0]
            self._add(function["name"], "function" if "fabric" in device else "endpoint", function["bdf"],
                      device["numa_node"], f"{function['name']}.port" if "fabric" in device else None)
        for index in range(gpus):
            self.set_vfs(f"gpu{index}", vfs)

    def _add(self, name, kind, bdf, node, parent, pf=None):
        self.devices[name] = {
            "name": name, "kind": kind, "connected": True, "numa_node": node if node >= 0 else None, "parent": parent,
            "pf": pf, "bdf": bdf, "vendor_id": "0x1de5", "device_id": "0x0001", "class_code": "0x120000",
            "power_state": "D0", "bus_master": True, "vfs": None, "total_vfs": None, "present": True,
            "link_up": None if kind == "endpoint" else True, "faults": {"armed": 0, "active": 0, "struck": 0},
            "counters": dict.fromkeys(COUNTERS, 0)}

    def set_vfs(self, pf, count):
        with self.lock:
            self.devices = {name: device for name, device in self.devices.items() if device["pf"] != pf}
            above = self.devices[pf]
            above.update(vfs=count, total_vfs=64)
            for index in range(count):
                self._add(f"{pf}-vf{index}", "virtual-function", f"{above['bdf'][:-1]}{index + 1}", above["numa_node"],
                          pf, pf)

    def tick(self):
        """What a busy guest does between two polls."""
        with self.lock:
            for number, device in enumerate([] if self.idle else self.devices.values()):
                if "port" in device["kind"]:
                    continue
                for name in ("bar_reads", "bar_writes", "interrupts"):
                    device["counters"][name] += 100 + number
                device["counters"]["dma_write_bytes"] += 4096 * number

    def inject(self, name, body):
        with self.lock:
            self.posted.append((name, body))
            faults = self.faults.setdefault(name, [])
            faults.append({"id": len(faults) + 1, "fault": body["fault"], "state": "active", "strikes": 1, "count": 0,
                           "seed": 1})
            self.devices[name]["faults"] = {"armed": 0, "active": 1, "struck": 1}
            return faults

    def clear(self, name):
        with self.lock:
            for fault in self.faults.get(name, []):
                fault["state"] = "cleared"
            self.devices[name]["faults"] = {"armed": 0, "active": 0, "struck": 1}
            return self.faults.get(name, [])

    def register_answer(self, name):
        def register(title, offset, width, value, fields):
            return {"name": title, "offset": offset, "width": width, "value": value, "doc": f"What {title} is for",
                    "fields": fields}

        command = self.registers["COMMAND"]
        fields = [{"name": "Memory Space Enable", "hi": 1, "lo": 1, "value": "0x1", "text": None},
                  {"name": "Bus Master Enable", "hi": 2, "lo": 2, "value": hex(command >> 2 & 1), "text": None}]
        header = [register("Vendor ID", "0x0", 16, "0x1de5", []), register("Command", "0x4", 16, hex(command), fields)]
        header += [register(name, hex(0x34 + 4 * index), 32, "0x0", fields)
                   for index, name in enumerate(("CAPABILITIES_POINTER", "PREFETCHABLE_LIMIT_UPPER"))]
        pcie = [register("Link Status", "0x12", 16, "0x1105", [
            {"name": "Current Link Speed", "hi": 3, "lo": 0, "value": "0x5", "text": "32 GT/s"}])]
        bar = [register("STATUS", "0x2c", 32, hex(self.registers["STATUS"]), [])]
        return {"device": name, "time_ns": time.monotonic_ns(), "config": {
            "size": 4096, "hex": "e51d0100" * 64, "sections": [
                {"name": "Header", "id": None, "extended": False, "offset": "0x0", "registers": header},
                {"name": "PCI Express", "id": "0x10", "extended": False, "offset": "0x50", "registers": pcie}]},
            "bars": [{"bar": 0, "type": "memory32", "prefetchable": False, "size": 4096, "address": "0xfebf0000",
                      "maps": [{"name": "mock-accel", "offset": "0x0", "registers": bar}]}]}

    def trace_events(self, device, since):
        with self.lock:
            self.traced = max(self.traced, since) + 3
            kinds = ({"kind": "bar-read", "reg": "STATUS", "addr": "0x2c", "bar": 0, "size": 4, "value": "0x10", "dur": 840},
                     {"kind": "config-write", "reg": "COMMAND", "addr": "0x4", "size": 2, "value": "0x6", "fields": {
                         "IO_SPACE": "0x0", "MEMORY_SPACE": "0x1", "BUS_MASTER": "0x1", "PARITY_ERROR_RESPONSE": "0x0"}},
                     {"kind": "dma-map", "addr": "0x1f8d8000", "size": 2048, "access": 1},
                     {"kind": "dma-write", "addr": "0x1f8d8000", "size": 64, "data": "00112233445566778899aabbccddeeff" * 4})
            return [{"seq": seq, "t": seq * 1_000_000, "device": device, **kinds[seq % 4]}
                    for seq in range(since, self.traced)]


class MockMediator:
    """A made-up mediator whose VMs get service by their weights, and none while they are in quarantine."""

    def __init__(self, name="default", weights=(300, 100)):
        self.name = name
        self.lock = threading.RLock()
        self.vms = {number: {
            "id": number, "pool": "A", "priority": "medium", "weight": weight, "limits": {}, "connections": 1, "waiting": 3,
            "running": 0, "quarantine": None, "memory_bytes": 1 << 20, "counters": {"service_ns": 0},
            "latency": {"count": 0, "mean_us": 0, "p50_us": 0, "p95_us": 0, "p99_us": 4096},
        } for number, weight in enumerate(weights, 1)}

    def answer(self):
        return {"name": self.name, "rule": "fair", "strict_classes": False, "draining": False, "drained": False, "jobs": 12,
                "errors": 0, "rejected": 0, "pools": [{"id": "A", "waiting": 6, "fairness": 0.9998, "vms": list(self.vms),
                                                       "backends": [{"name": "A0", "ready": True}]}]}

    def tick(self):
        with self.lock:
            for vm in self.vms.values():
                if vm["quarantine"]:
                    continue
                vm["counters"]["service_ns"] += vm["weight"] * 1_000_000
                times = vm["latency"]
                times["mean_us"] = (times["mean_us"] * times["count"] + 10 * 1500) / (times["count"] + 10)
                times["count"] += 10


class MockApi:
    """The server. `machines` may be changed while it runs; stop() and start() keep the port."""

    def __init__(self, machines, port=0):
        self.machines = {machine.name: machine for machine in machines}
        self.mediators = {}
        self.pci_names = {"1de5:0001": {"vendor": "Eideticom, Inc", "device": "<b>NoLoad</b>"}}  # None: no such route
        self.asked_ids = []
        self.port = port
        self.streams = []
        self.server = None
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/#token={TOKEN}"

    def start(self):
        api = self

        class Handler(RequestHandler):
            mock = api

        self.server = QuietServer(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        for stream in self.streams:
            stream.put(None)
        self.streams.clear()
        self.server.shutdown()
        self.server.server_close()

    def event(self, kind, **data):
        data.setdefault("time_us", time.time_ns() // 1000)
        for stream in self.streams:
            stream.put(f"event: {kind}\ndata: {json.dumps(data)}\n\n")


class QuietServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a browser that leaves a page ends its connections in the middle


class RequestHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    mock = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.route("GET")

    def do_POST(self):
        self.route("POST")

    def do_PUT(self):
        self.route("PUT")

    def do_DELETE(self):
        self.route("DELETE")

    def do_PATCH(self):
        self.route("PATCH")

    def route(self, method):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        parts = [urllib.parse.unquote(part) for part in url.path.split("/")[1:]]
        if parts[0] != "v1":
            self.asset(url.path)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.fail(401, "unauthorized", "the token is wrong or missing")
        elif parts[1:] == ["events"]:
            self.stream()
        else:
            self.api(method, parts[1:], urllib.parse.parse_qs(url.query), json.loads(body) if body else None)

    def api(self, method, parts, query, body):
        machines = self.mock.machines
        if parts == ["machines"]:
            return self.json({"machines": [self.machine(one, False) for one in machines.values()]})
        if parts == ["faults"]:
            return self.json({"faults": FAULTS})
        if parts == ["pci-ids"]:
            self.mock.asked_ids.append(sorted(query.get("id", []) + query.get("class", [])))
            if self.mock.pci_names is None:
                return self.fail(404, "not_found", "no such resource")
            return self.json({"file": "/usr/share/misc/pci.ids", "ids": [
                {"id": one, **self.mock.pci_names.get(one, {"vendor": None, "device": None})} for one in query.get("id", [])],
                "classes": [{"class": one, "base": "Processing accelerators", "sub": None, "interface": None}
                            for one in query.get("class", [])]})
        if parts[0] == "mediators":
            return self.mediator(method, parts[1:], body)
        machine = machines.get(parts[1]) if parts[0] == "machines" and len(parts) > 1 else None
        if not machine:
            return self.fail(404, "unknown_machine", f"no machine \"{'/'.join(parts)}\"")
        rest = parts[2:]
        if not rest:
            return self.json(self.machine(machine, True))
        if rest == ["devices"]:
            machine.tick()
            return self.json({"devices": list(machine.devices.values()), "busy_loops": 0})
        if rest[0] == "trace":
            return self.trace(machine, method, rest[1:], query, body)
        if rest[0] == "devices" and rest[1] in machine.devices:
            return self.device(machine, method, rest[1], rest[2:], body)
        return self.fail(404, "unknown_device", f"no device \"{rest[-1]}\"")

    def machine(self, machine, whole):
        answer = {"name": machine.name, "state": "running", "pid": 1, "reason": "", "processes": [],
                  "started_us": time.time_ns() // 1000 - 75_000_000}
        return dict(answer, plan=machine.plan) if whole else answer

    def device(self, machine, method, name, rest, body):
        if rest == ["registers"]:
            return self.json(machine.register_answer(name))
        if rest == ["faults"]:
            if method == "POST" and body["fault"] == "poisoned-tlp" and body["options"].get("severity") == "fatal":
                return self.fail(409, "not_possible", "this device has no AER")
            machine.tells_faults.wait()
            faults = {"POST": lambda: machine.inject(name, body), "DELETE": lambda: machine.clear(name),
                      "GET": lambda: machine.faults.get(name, [])}[method]()
            if method == "POST":
                self.mock.event("fault", machine=machine.name, device=name, fault=body["fault"], state="active")
            return self.json({"device": name, "faults": faults, "refused": machine.refused.get(name, [])})
        return self.json(machine.devices[name])

    def mediator(self, method, parts, body):
        mediators = self.mock.mediators
        if not parts:
            return self.json({"mediators": [one.answer() for one in mediators.values()], "unreachable": []})
        mediator = mediators[parts[0]]
        if parts[1:] == ["vms"]:
            mediator.tick()
            return self.json({"vms": list(mediator.vms.values())})
        vm = mediator.vms[int(parts[2])]
        if method == "PATCH" and body["weight"] == 666:
            return self.fail(409, "refused", "the engine does not like that weight")
        if method == "PATCH":
            vm["weight"] = body["weight"]
        if parts[3:] == ["quarantine"]:
            vm["quarantine"] = {"reason": body["reason"], "release_in_s": None} if method == "PUT" else None
        return self.json(vm)

    def trace(self, machine, method, rest, query, body):
        if rest == ["events"]:
            since = int(query.get("since", ["0"])[0])
            events = machine.trace_events(query["device"][0], since)
            return self.json({"events": events, "next": str(since + len(events)), "lost": 0, "more": False})
        if method == "PUT":
            machine.trace.update(body)
        return self.json(dict(machine.trace, events=machine.traced, dropped=0, oldest="0", newest=str(machine.traced), dumps=[]))

    def stream(self):
        mine = queue.Queue()
        self.mock.streams.append(mine)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            while True:
                try:
                    text = mine.get(timeout=5)
                except queue.Empty:
                    text = ": keep-alive\n\n"
                if text is None:
                    return
                self.wfile.write(text.encode())
        except OSError:
            pass

    def asset(self, path):
        file = DIST / ("index.html" if path == "/" else path[1:])
        status = 200
        if "/" in path[1:] or not file.is_file():
            status, file = 404, DIST / "404.html"
        return self.answer(status, TYPES[file.suffix], file.read_bytes(), {"Content-Security-Policy": POLICY})

    def json(self, value, status=200):
        self.answer(status, "application/json", json.dumps(value).encode(), {})

    def fail(self, status, code, message):
        self.json({"error": {"code": code, "message": message, "nearest": []}}, status)

    def answer(self, status, content_type, body, headers):
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)
