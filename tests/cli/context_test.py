#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""context_test.py BIN_DIR: `mimic --context` with a kubectl that says what it was asked and answers as a hostile cluster would.
(The real one: tests/cluster/machines_test.py.)"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

MIMIC = os.path.join(os.path.abspath(sys.argv[1]), "mimic")
failures = 0

# The program called kubectl: appends its words to calls, and does what answers.json has for the first key that they contain.
FAKE = """#!%s
import json, os, sys
folder = os.path.dirname(os.path.abspath(__file__))
words = sys.argv[1:]
with open(folder + "/calls", "a") as calls:
    calls.write(json.dumps(words) + "\\n")
for key, answer in json.load(open(folder + "/answers.json")):
    if all(word in words for word in key):
        data = answer.get("out", "")
        sys.stdout.buffer.write(data.encode("latin-1"))
        sys.stdout.flush()
        sys.stderr.buffer.write(answer.get("err", "").encode("latin-1"))
        sys.stderr.flush()
        if answer.get("stays"):
            sys.stdin.read()
        sys.exit(answer.get("status", 0))
sys.stderr.write("fake: nobody answers " + repr(words))
sys.exit(99)
""" % sys.executable


def check(what, good, detail=""):
    global failures
    print("%s %s%s" % ("ok" if good else "FAILED", what, "" if good else ": %s" % (detail,)), flush=True)
    failures += 0 if good else 1


def pod(name, phase="Running", node="n1", index="", created="2026-01-01T00:00:00Z"):
    return "\t".join((name, phase, node, index, created)) + "\n"


class Cluster:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        fake = self.folder / "kubectl"
        fake.write_text(FAKE)
        fake.chmod(0o755)

    def run(self, answers, *words, **options):
        (self.folder / "answers.json").write_text(json.dumps(answers))
        (self.folder / "calls").write_text("")
        options.setdefault("input", "")
        return subprocess.run([MIMIC, *words], env={**os.environ, "KUBECTL": str(self.folder / "kubectl")},
                              capture_output=True, text=True, check=False, timeout=120, errors="surrogateescape", **options)

    def calls(self):
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]


PODS = (["get", "pods"], {"out": pod("a-0") + pod("b-0") + pod("c-0", "Pending")})


def names(name, *machines):
    return ([name, "ps", "--names"], {"out": "".join(machine + "\n" for machine in machines)})


def finding(cluster):
    two = [PODS, names("a-0", "m", "only"), names("b-0", "m"), (["exec", "a-0"], {"out": "from a\n"}),
           (["exec", "b-0"], {"out": "from b\n"})]
    done = cluster.run(two, "--context", "ctx", "--namespace=ns", "exec", "only", "--", "sh", "-c", "a b;c $(d) '")
    check("exec goes to the pod that has the machine", (done.returncode, done.stdout) == (0, "from a\n"), done)
    check("words go through as they are", cluster.calls()[-1] == [
        "--context=ctx", "--namespace=ns", "exec", "--stdin", "a-0", "--container=mimic", "--", "mimic", "exec", "only", "--", "sh",
        "-c", "a b;c $(d) '"], cluster.calls()[-1])
    done = cluster.run(two, "--context", "ctx", "exec", "m", "true")
    check("a name that two pods have", done.returncode == 125 and "say one of a-0/m, b-0/m" in done.stderr, done)
    done = cluster.run(two, "--context", "ctx", "exec", "b-0/m", "true")
    check("POD/MACHINE", (done.returncode, done.stdout) == (0, "from b\n") and cluster.calls()[-1][-5:] == [
        "mimic", "exec", "m", "--", "true"], cluster.calls()[-1])
    done = cluster.run(two, "--context", "ctx", "exec", "a-0", "true")
    check("a pod with two machines", done.returncode == 125 and "a-0/NAME with one of m, only" in done.stderr, done)
    done = cluster.run(two, "--context", "ctx", "exec", "-n", "b-0", "true")
    check("a pod for its machine, without input", done.returncode == 0 and cluster.calls()[-1][1:3] == ["exec", "b-0"],
          cluster.calls()[-1])
    done = cluster.run(two, "--context", "ctx", "exec", "onyl", "true")
    check("the nearest name", done.returncode == 125 and "did you mean only?" in done.stderr, done)
    done = cluster.run(two, "--context", "ctx", "trace", "--last", "3", "only", "m")
    check("values of options are no machines", cluster.calls()[-1][-5:] == ["trace", "--last", "3", "only", "m"], cluster.calls()[-1])
    done = cluster.run(two, "--context", "ctx", "up", "f")
    check("what is not for pods", done.returncode == 2 and "there is no up" in done.stderr, done)
    done = cluster.run(two, "--context", "ctx", "exec")
    check("a command line is judged before anybody is asked", done.returncode == 125 and not cluster.calls(), done)
    done = cluster.run([(["get", "pods"], {"status": 1, "err": "no\x1b[31m such context\n"})], "--context", "ctx", "ps")
    check("kubectl's own error", done.returncode == 1 and "no such context" in done.stderr and "\x1b" not in done.stderr, done)
    done = cluster.run([PODS, *two], "--context", "ctx", "--kubectl", "/nowhere/kubectl", "ps")
    check("no kubectl", done.returncode == 1 and "/nowhere/kubectl" in done.stderr, done)


def hostile(cluster):
    evil = "\x1b]0;owned\x07\x1b[2J\u009b31m"
    pods = (["get", "pods"], {"out": pod("--kubeconfig=/evil") + pod("a b") + pod("-v") + pod("A") + pod("") + "short\n" + "\t" * 9 + "\n"
                              + pod("x" * 300) + pod("a-0", node=evil) + pod("b-0") + pod("c-0", phase=evil)})
    machine = {"name": "m", "phase": evil, "accel": 7, "kernel": None, "functions": "x", "started": evil}
    bad_names = ["../x", "-n", "", "M", 5, evil]
    answers = [pods, (["a-0", "ps", "--json"], {"out": json.dumps([machine, *({"name": name} for name in bad_names), 3])}),
               (["b-0", "ps", "--json"], {"out": "[[[[" * 5000, "err": evil}),
               names("a-0", "m", *map(str, bad_names)), names("b-0"),
               (["b-0"], {"status": 1}), (["logs"], {"out": "log " + evil + "\n"}), (["exec", "a-0"], {"out": "x" + evil})]
    done = cluster.run(answers, "--context", "ctx", "ps")
    check("hostile pods make a table", done.returncode == 0 and re.search(r"^a-0 +m ", done.stdout, re.M)
          and not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout + done.stderr), done)
    check("names that could be options are left out", all(
        not word.startswith(("--kubeconfig=/e", "-v")) for call in cluster.calls() for word in call), cluster.calls())
    done = cluster.run(answers, "--context", "ctx", "ps", "--json")
    told = json.loads(done.stdout)
    check("and JSON", told["format"] == "mimic-ps" and [one["name"] for one in told["machines"]] == ["m"], done)
    done = cluster.run(answers, "--context", "ctx", "logs", "m")
    check("logs are filtered again", "\x1b" not in done.stdout and "log " in done.stdout, done)
    done = cluster.run(answers, "--context", "ctx", "logs", "--raw", "m")
    check("unless raw is wanted", "\x1b" in done.stdout, done)
    for line in ("http://127.0.0.1:99999/#token=a", "http://example.com:80/#token=a", "", "http://127.0.0.1:80/#token=a\x1b[2J",
                 "http://127.0.0.1:80@example.com/#token=a", "x" * 5000, "http://127.0.0.1:0/#token=a"):
        done = cluster.run([PODS, (["--until-eof"], {"out": line + "\n", "stays": True})], "--context", "ctx", "web", "a-0")
        check("web does not believe %r" % line[:40], done.returncode == 1 and done.stdout == "" and "\x1b" not in done.stderr
              and not any("port-forward" in call for call in cluster.calls()), done)


def web(cluster):
    answers = [PODS, (["--until-eof"], {"out": "http://127.0.0.1:4242/#token=abc\n", "stays": True}),
               (["port-forward"], {"out": "Forwarding from 127.0.0.1\n", "stays": True})]
    (cluster.folder / "answers.json").write_text(json.dumps(answers))
    (cluster.folder / "calls").write_text("")
    with subprocess.Popen([MIMIC, "--context", "ctx", "web", "a-0"], env={**os.environ, "KUBECTL": str(cluster.folder / "kubectl")},
                          stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
    found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/#token=abc\n", line)
    check("web prints the port here", found is not None, line)
    port = found.group(1) if found else "?"
    server, tunnel = cluster.calls()[-2:]
    check("the server is told of it", server[-5:] == ["mimic", "web", "--until-eof", "--tunnel-port", port], server)
    check("the tunnel leads to the server", tunnel[1:] == ["port-forward", "--address=127.0.0.1", "pod/a-0", port + ":4242"], tunnel)
    check("web ends by a signal", process.returncode == 0, process.returncode)


def results(cluster):
    def record(**more):
        return json.dumps({"format": "mimic-run", "version": 1, "status": 0, "stdout": "x", **more}) + "\n"
    pods = (["get", "pods"], {"out": pod("j-0-old", "Failed", index="0", created="2026-01-01T00:00:00Z")
                              + pod("j-0-new", "Succeeded", index="0", created="2026-01-01T00:00:09Z")
                              + pod("j-1-a", "Failed", index="1") + pod("j-2-a", "Running", index="2") + pod("stray", "Failed")})
    answers = [pods, (["logs", "j-0-old"], {"out": record(status=125)}), (["logs", "j-0-new"], {"out": "mimic: up\n" + record(index=77)}),
               (["logs", "j-1-a"], {"out": record(status=1) + record(status=7, stdout="\x1b[2J") + "{\"format\":\"other\"}\nlate\n"})]
    done = cluster.run(answers, "--context", "ctx", "results", "j")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    check("results: the latest pod of an index, the last record of a pod", [(line["index"], line["pod"], line["status"]) for line in lines]
          == [(0, "j-0-new", 0), (1, "j-1-a", 7)], done)
    check("what lacks is told", done.returncode == 1 and "index 2: no record" in done.stderr, done)
    check("nothing is sent to the terminal raw", "\x1b" not in done.stdout)
    check("the selector names the job", "--selector=app.kubernetes.io/name=mimic-machines,batch.kubernetes.io/job-name=j"
          in cluster.calls()[0], cluster.calls()[0])
    done = cluster.run(answers, "--context", "ctx", "results", "j,x=y")
    check("a job's name is one", done.returncode == 1 and not cluster.calls(), done)
    done = cluster.run(answers, "results", "j")
    check("results without a context", done.returncode == 2 and not cluster.calls(), done)


def main():
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(folder)
        finding(cluster)
        hostile(cluster)
        web(cluster)
        results(cluster)
    print("context_test: %d failed" % failures)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
