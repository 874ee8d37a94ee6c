# SPDX-License-Identifier: Apache-2.0
"""mimic-mediator from the outside, with VMs without guests: mediator_test.py BIN SOURCE

Shares that follow weights and change with them, quarantine, reloads and restarts under load that lose nothing, drain, the
audit log, and what `mimic mediator` says to those who ask wrongly."""
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BIN, SOURCE = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
DEADLINE = 60  # seconds, for conditions
QUARANTINED, MEDIATOR_GONE, CANCELLED = "11", "3", "16"
CONFIG = """version: 1
mediator:
  socket: {folder}/m.sock
  vm_sockets: {folder}/vm-<vm_id>.sock
  audit_log: {folder}/audit.log
  session_patience: 120s
pools:
  - id: A
    backends: [{{kind: cpu, threads: {threads}}}]
{more}
vms:
  - {{id: 1, weight: {weight}, limits: {{queue_depth: 300}}}}
  - {{id: 2, weight: 100, limits: {{queue_depth: 300}}}}
"""
POOL_B = "  - {id: B, backends: [{kind: sim, model: fixed, parameters: {latency: 1us}}]}"


class Mediator(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="mimic-mediator-")
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=holder.name, HOME=holder.name)
        self.processes = []
        self.backends = set()
        self.addCleanup(self.end_all)
        self.config = self.folder / "m.yaml"
        self.write()

    def end_all(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        for pid in self.backends:  # they would wait for the next mediator
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    # --- what the tests say

    def write(self, weight=300, threads=1, more=""):
        self.config.write_text(CONFIG.format(folder=self.folder, weight=weight, threads=threads, more=more))

    def popen(self, *command):
        process = subprocess.Popen([str(word) for word in command], env=self.environment, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.processes.append(process)
        return process

    def start(self, *options):
        """A mediator that is ready."""
        process = self.popen(BIN / "mimic-mediator", *(options or ("--config", self.config)))
        deadline = time.monotonic() + DEADLINE
        said = ""
        while "mimic-mediator: ready\n" not in said:
            ready, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
            some = os.read(process.stdout.fileno(), 4096).decode() if ready else ""  # no buffer that select() cannot see
            self.assertTrue(some, f"no mediator: {said}{'' if process.poll() is None else process.stderr.read()}")
            said += some
        name = options[options.index("--name") + 1] if "--name" in options else "default"
        self.wait(lambda: all(backend["ready"] for pool in self.ask("pools", "--name", name)["pools"]
                              for backend in pool["backends"]))
        return process

    def mimic(self, *words, status=0):
        done = subprocess.run([BIN / "mimic", "mediator", *map(str, words)], env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE, check=False)
        self.assertEqual(done.returncode, status, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout if status == 0 else done.stderr

    def ask(self, *words):
        answer = json.loads(self.mimic(*words, "--json"))
        for pool in answer.get("pools", []):
            self.backends |= {backend["pid"] for backend in pool["backends"] if backend["pid"]}
        return answer

    def vm(self, number):
        return next(vm for vm in self.ask("vms")["vms"] if vm["id"] == number)

    def load(self, *words, socket="m.sock"):
        return self.popen(BIN / "mimic-mediator-load", "--json", "--time", "600s", "--socket", self.folder / socket, *words)

    def result(self, process):
        out, err = process.communicate(timeout=DEADLINE)
        self.assertTrue(out, err)
        return {vm["vm_id"]: vm for vm in json.loads(out)["vms"]}

    def wait(self, condition):
        deadline = time.monotonic() + DEADLINE
        while not condition():
            self.assertLess(time.monotonic(), deadline, condition)
            time.sleep(0.02)

    def service(self):
        return {vm["id"]: vm["counters"]["service_ns"] for vm in self.ask("vms")["vms"]}

    def share_of_first(self):
        """VM 1's share of what both get from now on, for half a second of service."""
        before = self.service()
        self.wait(lambda: sum(self.service().values()) - sum(before.values()) > 500_000_000)
        after = self.service()
        got = {number: after[number] - before[number] for number in after}
        return got[1] / sum(got.values())

    # --- tests

    def test_shares_follow_weights_and_change_with_them(self):
        self.start()
        self.load("--vm", "1,depth=128,job=spin:1ms", "--vm", "2,depth=128,job=spin:1ms")
        self.wait(lambda: all(vm["counters"]["done"] > 5 for vm in self.ask("vms")["vms"]))
        self.assertAlmostEqual(self.share_of_first(), 0.75, delta=0.1)
        self.assertIn("900", self.mimic("set-weight", 2, 900))
        self.assertAlmostEqual(self.share_of_first(), 0.25, delta=0.1)
        # What was set by hand holds until the file is read again.
        self.mimic("reload")
        self.assertAlmostEqual(self.share_of_first(), 0.75, delta=0.1)
        table = self.mimic("vms")
        self.assertRegex(table, r"(?m)^ *1 +A +medium +300 ")
        self.assertRegex(self.mimic("pools"), r"(?m)^A +A0 .* ready ")
        self.assertRegex(self.mimic("status"), r"(?m)^rule +fair$")

    def test_quarantine_and_release(self):
        self.start()
        one = ("--vm", "1,job=sum", "--requests", "3")
        self.assertEqual(self.result(self.load(*one))[1]["done"], 3)
        self.assertIn("quarantined: noise", self.mimic("quarantine", 1, "--reason", "noise"))
        self.assertEqual(self.result(self.load(*one))[1]["failed"], {QUARANTINED: 3})
        self.assertEqual(self.result(self.load("--vm", "2,job=sum", "--requests", "3"))[2]["done"], 3)
        self.mimic("release", 1)
        self.assertEqual(self.result(self.load(*one))[1]["done"], 3)
        self.assertIn("is not in quarantine", self.mimic("release", 1, status=1))
        self.assertIn("99", self.mimic("quarantine", 99, status=1))
        what = [json.loads(line)["what"] for line in (self.folder / "audit.log").read_text().splitlines()]
        for event in ("started", "connected", "quarantined", "released"):
            self.assertIn(event, what)

    def test_limits_are_set_and_hold(self):
        self.start()
        changed = self.ask("set-limit", 1, "queue_depth=2", "job_timeout=1.5s", "memory_bytes=64M")
        self.assertEqual(changed["limits"], {"rate": 0.0, "burst": 0.0, "queue_depth": 2, "memory_bytes": 64 << 20,
                                             "parallel": 1, "job_timeout_s": 1.5})
        failed = self.result(self.load("--vm", "1,depth=32,job=spin:1ms", "--requests", "64"))[1]["failed"]
        self.assertGreater(sum(failed.values()), 0)
        self.assertGreater(self.vm(1)["counters"]["rejected_depth"], 0)
        self.assertIn("did you mean queue_depth", self.mimic("set-limit", 1, "queue_dept=2", status=2))
        self.assertIn("memory_bytes=x: expected a size", self.mimic("set-limit", 1, "memory_bytes=x", status=2))
        self.assertIn("parallel", self.mimic("set-limit", 1, "parallel=0", status=1))

    def test_reload_under_load_loses_nothing(self):
        mediator = self.start()
        load = self.load("--vm", "1,depth=16,job=spin:1ms", "--vm", "2,depth=16,job=sum")
        for rounds in range(8):
            self.write(weight=100 + rounds, more=POOL_B if rounds % 2 else "")
            if rounds % 4 < 2:
                self.mimic("reload")
            else:
                mediator.send_signal(signal.SIGHUP)
            self.wait(lambda: self.vm(1)["weight"] == 100 + rounds)
        load.send_signal(signal.SIGTERM)
        for vm in self.result(load).values():
            self.assertEqual((vm["done"] > 0, vm["failed"]), (True, {}))
        # One that is wrong is refused with all its mistakes, and nothing changes.
        self.write(weight=0, threads=0)
        report = self.mimic("reload", status=1)
        self.assertIn("m.yaml:9:37: threads is '0'", report)
        self.assertIn("weight is '0'", report)
        mediator.send_signal(signal.SIGHUP)
        self.wait(lambda: "reload-failed" in (self.folder / "audit.log").read_text())
        self.assertEqual(self.vm(1)["weight"], 100 + rounds)

    def test_restart_under_load_loses_nothing(self):
        for number in (signal.SIGKILL, signal.SIGINT):
            mediator = self.start()
            load = self.load("--vm", "1,depth=16,job=spin:1ms", "--vm", "2,depth=16,job=sum", "--requests", "3000",
                             "--connect-within", "60s")
            self.wait(lambda: self.vm(1)["counters"]["done"] > 20)
            mediator.send_signal(number)
            mediator.wait(DEADLINE)
            restarted = self.start()
            for vm in self.result(load).values():
                self.assertEqual((vm["done"], vm["failed"]), (3000, {}), number)
                self.assertGreater(vm["connections"], 1, "the load had ended before the restart")
            restarted.terminate()
            self.assertEqual(restarted.wait(DEADLINE), 0)

    def test_drain_ends_what_is_in_flight(self):
        mediator = self.start()
        load = self.load("--vm", "1,depth=4,job=spin:1ms")
        self.wait(lambda: self.vm(1)["counters"]["done"] > 5)
        self.assertIn("nothing is in flight", self.mimic("drain", "--wait"))
        status = self.ask("status")
        self.assertEqual((status["draining"], status["drained"], status["running"]), (True, True, 0))
        done = self.vm(1)["counters"]["done"]
        self.mimic("drain", "--off")
        self.wait(lambda: self.vm(1)["counters"]["done"] > done)
        # SIGTERM drains, too, and the load sees answers and no end of its connection before.
        mediator.terminate()
        self.assertEqual(mediator.wait(DEADLINE), 0)
        load.send_signal(signal.SIGINT)
        self.assertLessEqual(set(self.result(load)[1]["failed"]), {CANCELLED, MEDIATOR_GONE})

    def test_packets_of_old_devices(self):
        self.start()
        got = self.result(self.load("--protocol", "packet", "--vm", "2,job=sum", "--requests", "5",
                                    socket="vm-<vm_id>.sock"))
        self.assertEqual((got[2]["done"], got[2]["failed"]), (5, {}))
        for name in ("m.sock", "vm-1.sock", "mimic-mediator/default/control.sock"):
            self.assertEqual((self.folder / name).stat().st_mode & 0o777, 0o600)

    def test_metrics_and_audit_log(self):
        mediator = self.start()
        self.result(self.load("--vm", "1,job=sum", "--requests", "3"))
        text = self.mimic("metrics")
        self.assertIn('\nvgpu_vm_jobs_total{vm_id="1"} 3\n', text)
        self.assertIn('mimic_mediator_vm_latency_seconds_count{vm="1",pool="A",class="medium"} 3\n', text)
        (self.folder / "audit.log").rename(self.folder / "old.log")
        mediator.send_signal(signal.SIGHUP)
        self.wait(lambda: (self.folder / "audit.log").exists() and
                  "reloaded" in (self.folder / "audit.log").read_text())
        for line in (self.folder / "audit.log").read_text().splitlines():
            self.assertLessEqual({"time", "mediator", "what"}, set(json.loads(line)))

    def test_words(self):
        self.assertIn("no mediator runs", self.mimic("status", status=1))
        self.start("--pool", "A=cpu", "--name", "one")
        self.assertEqual(self.ask("status")["name"], "one")
        self.assertIn("did you mean one?", self.mimic("status", "--name", "onee", status=1))
        self.start("--pool", "A=sim:fixed", "--name", "two", "--run-folder", self.folder / "elsewhere")
        self.assertIn("2 mediators run", self.mimic("status", status=1))
        self.assertEqual(self.ask("status", "--name", "two")["pools"][0]["backends"][0]["name"], "A0")
        socket = self.folder / "elsewhere" / "control.sock"
        self.assertEqual(self.ask("status", "--socket", socket)["name"], "two")
        second = self.popen(BIN / "mimic-mediator", "--name", "one")
        self.assertEqual(second.wait(DEADLINE), 1)
        self.assertIn("a mediator runs in", second.stderr.read())
        self.assertIn("reload", self.mimic("--help"))
        load = SOURCE / "examples/mediator/loads/weights-deep.jsonl"
        self.assertIn("fair", self.mimic("simulate", load, "--rule", "fair"))

    def test_bad_configurations(self):
        for words, message in (
                (("--config", self.config, "--check"), ""),
                (("--config", "/nowhere.yaml"), "/nowhere.yaml"),
                (("--pool", "A=gpu"), "'gpu' is no backend"),
                (("--pool", "A=cpu", "--pool", "A=sim"), "pool A is there already"),
                (("--vm", "3"), "--vm-sockets and --vm need each other"),
                (("--config", self.config, "--pool", "A=cpu"), "excludes"),
                (("--socket", "relative"), "no absolute path"),
                (("backend", "--kind", "none"), "none")):
            done = subprocess.run([BIN / "mimic-mediator", *words], env=self.environment, text=True, timeout=DEADLINE,
                                  stdin=subprocess.DEVNULL, capture_output=True, check=False)
            self.assertEqual(done.returncode, 2 if message else 0, f"{words}: {done.stderr}")
            self.assertIn(message, done.stderr)
        self.write(weight="much")
        done = subprocess.run([BIN / "mimic-mediator", "--config", self.config], env=self.environment, text=True,
                              timeout=DEADLINE, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("m.yaml:12:21: weight is 'much'; expected a number, 1 to 10000\n", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
