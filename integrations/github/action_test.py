#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""action_test.py MIMIC [--guest]: the steps of action.yml, run as GitHub's runner would run them: their shell, variables and files.

Without --guest nothing boots, and scripts stand in for what the runner has and this machine may lack (gh, docker, apt-get)."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import unittest

import yaml

HERE = pathlib.Path(__file__).resolve().parent
ACTION = yaml.safe_load((HERE / "action.yml").read_text())
MIMIC = pathlib.Path(sys.argv[1]).resolve()
TOPOLOGY = """version: 1
machine:
  name: ${name:-box}
  cpus: 1
  memory: 192M
  devices: [{name: gpu0, model: mock-accel}]
"""


class Runner:
    """What a job of GitHub's has: a work space, a folder for temporary files, a PATH, and files that steps write their results to."""

    def __init__(self, folder, programs=None):
        self.folder = pathlib.Path(folder)
        self.workspace = self.folder / "work space"
        for name in ("temp", "home", "stand-ins", "run"):
            (self.folder / name).mkdir(mode=0o700)
        self.workspace.mkdir()
        for name, script in (programs or {}).items():
            path = self.folder / "stand-ins" / name
            path.write_text("#!/bin/bash\n" + script)
            path.chmod(0o755)
        self.path = f"{self.folder}/stand-ins:/usr/sbin:/usr/bin:/sbin:/bin"
        self.cache = os.environ.get("MIMIC_CACHE") or os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ["HOME"], ".cache"), "mimic")
        self.said, self.summary, self.outputs = "", "", {}
        self.repository, self.failed, self.caches = "owner/mimic", False, False

    def evaluate(self, text, inputs):
        """Text with the expressions that action.yml uses."""
        def value(match):
            kind, _, name = match.group(1).partition(".")
            if kind == "inputs":
                return inputs[name] if name in inputs else ACTION["inputs"][name]["default"]
            if kind == "steps":
                step, name = name.split(".outputs.")
                return self.outputs.get(step, {}).get(name, "")
            return {"action_repository": self.repository, "token": "secret"}[name]
        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", value, str(text))

    def holds(self, condition, inputs):
        """Whether an `if:` is true; without always() none is behind a step that failed."""
        parts = condition.split(" && ") if condition is not None else []
        if "always()" in parts:
            parts.remove("always()")
        elif self.failed:
            return False

        def value(term):
            return "" if term == "''" else self.evaluate("${{ %s }}" % term, inputs)
        return all(value(left) != value(right) for left, right in (re.fullmatch(r"([\w.-]+) != ([\w.-]+|'')", part).groups()
                                                                   for part in parts))

    def cache_action(self, step, inputs):
        """What actions/cache/restore and save do, as their pages say; kept caches are folders below the runner's."""
        given = {name: self.evaluate(value, inputs) for name, value in step["with"].items()}
        kept = sorted((self.folder / "kept").glob("*/"), key=lambda folder: folder.stat().st_mtime_ns, reverse=True)
        for text in given.values():
            assert text and "," not in text, given
        if step["uses"] == "actions/cache/restore@v4":
            found = [folder for folder in kept if folder.name == given["key"]]
            for prefix in (given["key"], *given.get("restore-keys", "").split()):
                found += [folder for folder in kept if folder.name.startswith(prefix)]
            if found:
                shutil.copytree(found[0], given["path"], dirs_exist_ok=True)
            self.outputs[step["id"]] = {"cache-matched-key": found[0].name if found else "", "cache-primary-key": given["key"]}
        elif step["uses"] == "actions/cache/save@v4":
            target = self.folder / "kept" / given["key"]
            assert not target.exists(), "a key is kept once"
            shutil.copytree(given["path"], target)
            os.utime(target)
        else:
            raise AssertionError(step["uses"])

    def step(self, step, inputs):
        """Runs a step; its exit status."""
        files = {name: self.folder / "temp" / name for name in ("GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        script = self.folder / "temp" / "script.sh"
        script.write_text(step["run"])
        environment = {"HOME": str(self.folder / "home"), "PATH": self.path, "LANG": "C.UTF-8", "CI": "true", "GITHUB_ACTIONS": "true",
                       "GITHUB_SERVER_URL": "https://server.example",
                       "GITHUB_WORKSPACE": str(self.workspace), "GITHUB_ACTION_PATH": str(HERE), "GITHUB_ACTION": "__run",
                       "RUNNER_TEMP": str(self.folder / "temp"), "MIMIC_CACHE": self.cache,
                       "XDG_RUNTIME_DIR": str(self.folder / "run"), **{name: str(path) for name, path in files.items()},
                       **{name: self.evaluate(value, inputs) for name, value in step.get("env", {}).items()}}
        done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)], cwd=self.workspace, env=environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.said += done.stdout
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        self.path = ":".join([*reversed(files["GITHUB_PATH"].read_text().splitlines()), self.path])
        pairs = [line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines()]
        self.outputs[step.get("id", step["name"])] = dict(pairs)
        return done.returncode

    def action(self, **given):
        """Runs the action; the exit status of the first step that fails. Steps of other actions are left out, but for `caches`."""
        self.failed, first = False, 0
        unknown = {name.replace("_", "-") for name in given} - set(ACTION["inputs"])
        assert not unknown, unknown
        inputs = {name: given.get(name.replace("-", "_"), entry["default"]) for name, entry in ACTION["inputs"].items()}
        for step in ACTION["runs"]["steps"]:
            if not self.holds(step.get("if"), inputs):
                continue
            if "uses" in step:
                if self.caches:
                    self.cache_action(step, inputs)
                continue
            status = self.step(step, inputs)
            if status and not self.failed:
                self.failed, first = True, status
        return first

    def output(self, name):
        return self.evaluate(ACTION["outputs"][name]["value"], {})


def tarball(path, program=MIMIC):
    """A tarball as `make packages` lays it out, whose bin/mimic is the one under test."""
    with tempfile.TemporaryDirectory() as folder:
        binary = pathlib.Path(folder) / "mimic-0-linux-x86_64/bin/mimic"
        binary.parent.mkdir(parents=True)
        binary.write_text(f'#!/bin/sh\nexec "{program}" "$@"\n')
        binary.chmod(0o755)
        with tarfile.open(path, "w:xz") as archive:
            archive.add(binary.parents[1], binary.parents[1].name)


class Case(unittest.TestCase):
    def runner(self, **programs):
        folder = tempfile.TemporaryDirectory(prefix="mact-", dir="/tmp")  # names of sockets are short
        self.addCleanup(folder.cleanup)
        runner = Runner(folder.name, programs)
        (runner.workspace / "box.yaml").write_text(TOPOLOGY)
        return runner


class Metadata(unittest.TestCase):
    def test_its_schema(self):
        """Of GitHub's metadata syntax; the whole of it where there is a check-jsonschema, which brings that."""
        checker = shutil.which("check-jsonschema")
        if checker:
            subprocess.run([checker, "--builtin-schema", "vendor.github-actions", str(HERE / "action.yml")], check=True)
        self.assertEqual({"name", "description", "inputs", "outputs", "runs"}, set(ACTION))
        for kind in ("inputs", "outputs"):
            for name, entry in ACTION[kind].items():
                self.assertTrue(entry["description"], name)
        self.assertTrue(all(isinstance(entry["default"], str) for entry in ACTION["inputs"].values()))
        for step in ACTION["runs"]["steps"]:
            self.assertTrue({"name"} | ({"run", "shell"} if "run" in step else {"uses"}) <= set(step), step)

    def test_no_input_is_text_of_a_script(self):
        for step in ACTION["runs"]["steps"]:
            self.assertNotIn("${{", step.get("run", ""))
            if "uses" in step:
                self.assertRegex(step["uses"], r"^actions/[\w/-]+@v\d+$")

    def test_what_expressions_name_is_there(self):
        text = (HERE / "action.yml").read_text()
        written = {step["id"]: (HERE / step["run"].split("/")[1].strip('"')).read_text()
                   for step in ACTION["runs"]["steps"] if "id" in step and "run" in step}
        for name in re.findall(r"inputs\.([\w-]+)", text):
            self.assertIn(name, ACTION["inputs"])
        for step, name in re.findall(r"steps\.([\w-]+)\.outputs\.([\w-]+)", text):
            if step == "cache":
                self.assertIn(name, ("cache-hit", "cache-primary-key", "cache-matched-key"))  # of actions/cache/restore
                continue
            self.assertIn("'" + name + "=", written[step], f"{step} does not write {name}")

    def test_pages_use_it_as_it_is(self):
        """YAML of pages: the inputs are there, and GitHub's and GitLab's own schema, where check-jsonschema brings them."""
        checker = shutil.which("check-jsonschema")
        used = 0
        for page in (HERE / "README.md", HERE.parents[1] / "docs/tutorials/in-ci.md"):
            text = page.read_text()
            blocks = re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S)
            blocks += [textwrap.dedent(block) for block in re.findall(r"^(    jobs:\n(?:    .*\n|\n)+)", text, re.M)]
            for block in map(yaml.safe_load, blocks):
                kind = "gitlab-ci" if "guest" in block else "github-workflows" if True in block else ""  # `on` is true in YAML 1.1
                if checker and kind:
                    block = {"on" if key is True else key: value for key, value in block.items()}
                    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                        json.dump(block, file)
                        file.flush()
                        subprocess.run([checker, "--builtin-schema", "vendor." + kind, file.name], check=True)
                for job in block.get("jobs", {}).values():
                    for step in job["steps"]:
                        if "integrations/github" in step.get("uses", ""):
                            self.assertLessEqual(set(step["with"]), set(ACTION["inputs"]), page)
                            used += 1
        self.assertEqual(3, used)

    def test_the_page_has_all(self):
        page = (HERE / "README.md").read_text()
        for name in [*ACTION["inputs"], *ACTION["outputs"]]:
            self.assertIn(f"| `{name}` |", page)


class Install(Case):
    def test_the_tarball(self):
        runner = self.runner()
        tarball(runner.workspace / "mimic-0-linux-x86_64.tar.xz")
        step = ACTION["runs"]["steps"][0]
        inputs = {"package": "mimic-*.tar.xz", "release": "", "kind": "", "kernel": "6.12"}
        self.assertEqual(0, runner.step(step, inputs), runner.said)
        self.assertRegex(runner.output("version"), r"^mimic \d")
        self.assertEqual(runner.cache, runner.outputs["install"]["cache"])
        self.assertRegex(runner.outputs["install"]["cache-key"], r"^mimic-mimic-[\w.-]+-6\.12-[\w.-]+-x86_64-$")
        self.assertTrue(runner.path.startswith(str(runner.folder / "temp/mimic-action/tarball/bin:")))

    def test_of_a_release(self):
        """By gh, and where there is none by curl."""
        copy = 'cp "$RUNNER_TEMP/../a.tar.xz" '
        for programs, asked in (
                ({"gh": 'echo "$@" >"$RUNNER_TEMP/asked"\n' + copy + '"${@: -1}"\n'},
                 "release download v1.2.3 --repo owner/mimic --pattern mimic-1.2.3-linux-x86_64.tar.xz --dir "),
                ({"curl": 'echo "$@" >"$RUNNER_TEMP/asked"\n' + copy + '"${@: -2:1}"\n'},
                 "/owner/mimic/releases/download/v1.2.3/mimic-1.2.3-linux-x86_64.tar.xz")):
            runner = self.runner(**programs)
            tarball(runner.folder / "a.tar.xz")
            inputs = {"package": "", "release": "v1.2.3", "kind": "tarball", "kernel": ""}
            self.assertEqual(0, runner.step(ACTION["runs"]["steps"][0], inputs), runner.said)
            self.assertIn(asked, (runner.folder / "temp/asked").read_text())

    def test_the_image(self):
        """What the wrapper gives to the container engine; a script stands in for that."""
        log = 'printf "%q " "$@" >>"$RUNNER_TEMP/../asked"; echo >>"$RUNNER_TEMP/../asked"\n'
        runner = self.runner(docker=log + 'case "$1 $*" in load*) echo "Loaded image: mimic.local/mimic:1" ;;\n'
                                          '*--version) echo "mimic 1" ;; esac\n')
        (runner.workspace / "mimic-1-oci.tar").write_text("")
        self.assertEqual(0, runner.action(package="*-oci.tar", file="box.yaml", command="echo a; echo b"), runner.said)
        asked = (runner.folder / "asked").read_text().splitlines()
        self.assertTrue(asked[0].startswith("load -i "))
        ids = f"{os.getuid()}:{os.getgid()}"
        work = str(runner.workspace).replace(" ", "\\ ")
        run = f"run --rm -i -v {work}:{work} -w {work} --user {ids} mimic.local/mimic:1 run box.yaml "
        self.assertTrue(asked[2].startswith(run), asked)
        self.assertTrue(asked[2].rstrip().endswith("-- sh -c $'\\necho a; echo b'"), asked)
        self.assertEqual("", runner.outputs["install"].get("cache", ""))  # nothing is to be fetched

    def test_the_package(self):
        runner = self.runner(sudo='exec "$@"\n', mimic="echo mimic 1\n", **{"apt-get": 'echo "apt-get $*"; exit ${FAIL:-0}\n'})
        (runner.workspace / "mimic_1_amd64.deb").write_text("")
        inputs = {"package": "*.deb", "release": "", "kind": "", "kernel": ""}
        self.assertEqual(0, runner.step(ACTION["runs"]["steps"][0], inputs), runner.said)
        self.assertIn(f"install -y --no-install-recommends {runner.workspace}/mimic_1_amd64.deb", runner.said)

    def test_what_cannot_be_says_why(self):
        cases = (({}, {}, "there is no mimic in PATH; give package or release"),
                 ({"package": "none*.deb"}, {}, "0 files fit 'none*.deb'"),
                 ({"package": "*.yaml"}, {}, "2 files fit"),
                 ({"package": "box.yaml"}, {}, "neither a .deb nor a .tar.xz nor an image's .tar"),
                 ({"package": "bad.tar.xz"}, {}, "cannot unpack"),
                 ({"package": "empty.tar.xz"}, {}, "has no bin/mimic"),
                 ({"package": "a.deb"}, {"sudo": 'exec "$@"\n', "apt-get": "exit 100\n"}, "it is for Debian 12 and 13"),
                 ({"package": "a.deb", "release": "v1"}, {}, "give one of them"),
                 ({"package": "a-oci.tar"}, {"docker": "exit 1\n"}, "cannot load"),
                 ({"release": "v1"}, {"gh": "exit 1\n"}, "mimic-1-oci.tar of owner/mimic's release 'v1' cannot be downloaded"),
                 ({"release": "v1", "repository": ""}, {}, "a release of which repository? The action is used by a path (uses: ./...)"),
                 ({"release": "v1", "kind": "snap"}, {}, "'snap' is none of image, tarball, deb"),
                 ({"package": "broken.tar.xz"}, {}, "mimic does not run here"))
        for inputs, programs, why in cases:
            with self.subTest(why):
                runner = self.runner(**programs)
                for name in ("other.yaml", "bad.tar.xz", "a.deb", "a-oci.tar"):
                    (runner.workspace / name).write_text("")
                tarball(runner.workspace / "broken.tar.xz", "/none")
                with tarfile.open(runner.workspace / "empty.tar.xz", "w:xz") as archive:
                    archive.add(runner.workspace / "other.yaml", "mimic-0/README")
                runner.repository = inputs.get("repository", runner.repository)
                inputs = {name: value for name, value in inputs.items() if name != "repository"}
                self.assertNotEqual(0, runner.action(**inputs), runner.said)
                self.assertRegex(runner.said, r"(?m)^::error title=Mimic::.*" + re.escape(why))


# A mimic that fetches: a file `what` says which parts there are, of which version. `mimic plan` is the real one.
FETCHES = r"""
case $1 in
    --version) echo "mimic 1" ;;
    plan) exec "%s" "$@" ;;
    doctor)
        [ "${2:-}" = --install ] || exit 0
        shift 2
        mkdir -p "$MIMIC_CACHE/store"
        for name in qemu "$@"; do
            [ "$name" != --kernel ] || continue
            [ ! -e "$MIMIC_CACHE/store/$name" ] || continue
            version=$(sed -n "s/^$name=//p" "$RUNNER_TEMP/../what")
            [ -n "$version" ] || { echo "no $name to be had" >&2; exit 1; }
            echo "fetched $name $version"
            mkdir "$MIMIC_CACHE/store/$name"
            echo "$name=$version" >"$MIMIC_CACHE/store/$name/packages"
            touch "$MIMIC_CACHE/store/$name/.complete"
        done ;;
    run) exit "$(cat "$RUNNER_TEMP/../status")" ;;
esac
""" % MIMIC


class Cache(Case):
    def caching(self, week="2026-W48"):
        runner = self.runner(mimic=FETCHES, date=f'case "$*" in *%V) echo {week} ;; *) exec /bin/date "$@" ;; esac\n')
        runner.caches, runner.cache = True, str(runner.folder / "cache")
        self.says(runner, 0)
        return runner

    def says(self, runner, status, **what):
        """What can be fetched, and how the command will end. The machine is a new one: its cache is empty."""
        shutil.rmtree(runner.cache, ignore_errors=True)
        (runner.folder / "status").write_text(str(status))
        what = what or {"qemu": "11", "6.1": "6.1.176", "6.12": "6.12.95", "newest": "7.2", "6.12-riscv64": "6.12.117"}
        (runner.folder / "what").write_text("".join(f"{name}={version}\n" for name, version in what.items()))
        runner.said = ""

    def kept(self, runner):
        return sorted(folder.name for folder in (runner.folder / "kept").glob("*/"))

    def test_it_is_kept_though_the_command_fails(self):
        runner = self.caching()
        self.says(runner, 3)
        self.assertEqual(3, runner.action(file="box.yaml"), runner.said)
        (kept,) = self.kept(runner)
        self.assertRegex(kept, r"^mimic-mimic-1-6\.1-[\w.-]+-x86_64-[0-9a-f]{16}$")
        self.says(runner, 0)
        self.assertEqual(0, runner.action(file="box.yaml"), runner.said)
        self.assertNotIn("fetched", runner.said)
        self.assertEqual([kept], self.kept(runner))

    def test_what_was_fetched_before_a_failure_is_kept(self):
        runner = self.caching()
        self.says(runner, 0, qemu="11")
        self.assertEqual(1, runner.action(file="box.yaml"), runner.said)
        self.assertEqual(1, len(self.kept(runner)))
        self.says(runner, 0)
        self.assertEqual(0, runner.action(file="box.yaml"), runner.said)
        self.assertNotIn("fetched qemu", runner.said)
        self.assertIn("fetched 6.1 6.1.176", runner.said)
        self.assertEqual(2, len(self.kept(runner)))
        self.says(runner, 0)
        self.assertEqual(0, runner.action(file="box.yaml"), runner.said)
        self.assertNotIn("fetched", runner.said)  # the newer of the two
        self.assertEqual(2, len(self.kept(runner)))

    def test_nothing_is_kept_of_nothing(self):
        runner = self.caching()
        self.says(runner, 0, none="0")
        self.assertEqual(1, runner.action(file="box.yaml"), runner.said)
        self.assertEqual([], self.kept(runner))

    def test_the_kernels_are_those_of_the_file(self):
        two = ("version: 1\nmachines:\n  - {name: a, kernel: '${kernel:-6.12}', devices: [{name: g, model: mock-accel}]}\n"
               "  - {name: b, arch: riscv64, devices: [{name: g, model: mock-accel, class: 0x120000}]}\n")
        cases = (({}, "6.12 6.12-riscv64"), ({"machine": "a"}, "6.12"), ({"machine": "b"}, "6.12-riscv64"),
                 ({"set": "kernel=6.1"}, "6.1 6.12-riscv64"), ({"set": "kernel=./bzImage", "machine": "a"}, "6.1"),
                 ({"kernel": "6.1"}, "6.1 6.12-riscv64"), ({"kernel": "newest", "machine": "a"}, "newest"),
                 ({"file": ""}, "6.1"), ({"file": "none.yaml", "kernel": "6.12"}, "6.12"))
        for inputs, kernels in cases:
            with self.subTest(inputs):
                runner = self.caching()
                (runner.workspace / "two.yaml").write_text(two)
                self.assertEqual(0, runner.action(**{"file": "two.yaml", **inputs}), runner.said)
                self.assertEqual(kernels, runner.outputs["install"]["kernels"])
                for kernel in kernels.split():
                    self.assertIn(f"fetched {kernel} ", runner.said)
                self.assertIn(f"-{kernels.replace(' ', '+')}-", self.kept(runner)[0])

    def test_newest_is_fetched_anew_each_week(self):
        runner = self.caching()
        self.assertEqual(0, runner.action(kernel="newest"), runner.said)
        self.assertRegex(self.kept(runner)[0], r"-newest-.*-x86_64-2026-W48-[0-9a-f]{16}$")
        self.says(runner, 0)
        self.assertEqual(0, runner.action(kernel="newest"), runner.said)
        self.assertNotIn("fetched", runner.said)
        stand_in = runner.folder / "stand-ins/date"
        stand_in.write_text(stand_in.read_text().replace("W48", "W49"))
        self.says(runner, 0, qemu="11", newest="7.3")
        self.assertEqual(0, runner.action(kernel="newest"), runner.said)
        self.assertIn("fetched newest 7.3", runner.said)
        self.assertEqual(2, len(self.kept(runner)))


class Run(Case):
    def test_words(self):
        """Lines of inputs are words, whatever is in them."""
        runner = self.runner(mimic='case $1 in --version) echo mimic 1 ;; doctor) ;; *) printf "<%s>" "$@" ;; esac\n')
        self.assertEqual(0, runner.action(file="box.yaml", set="a=b c\nd='e\"$(f)\n", args="--accel\ntcg", kernel="6.12", machine="m",
                                          limit="9", boot_timeout="7", command="echo '$HOME'\nfalse || true"))
        record = f"{runner.workspace}/mimic-record-__run.json"
        self.assertIn(f"<run><box.yaml><--timeout><7><--record><{record}><--kernel><6.12><--machine><m><--limit><9><--set><a=b c>"
                      "<--set><d='e\"$(f)><--accel><tcg><--><sh><-c><\necho '$HOME'\nfalse || true>", runner.said)

    def test_only_set_up(self):
        runner = self.runner(mimic='echo "mimic $*"\n')
        self.assertEqual(0, runner.action())
        self.assertIn("mimic doctor --install", runner.said)
        self.assertNotIn("mimic run", runner.said)

    def test_what_guests_boot_cannot_be_fetched(self):
        runner = self.runner(mimic='[ "$1" = --version ] || { echo "no network" >&2; exit 1; }\n')
        self.assertEqual(1, runner.action(file="box.yaml"))
        self.assertIn("::error title=Mimic::mimic doctor --install --kernel 6.1 could not fetch", runner.said)

    def test_a_file_that_is_wrong(self):
        runner = self.runner()
        (runner.workspace / "box.yaml").write_text(TOPOLOGY.replace("memory", "memroy"))
        tarball(runner.workspace / "a.tar.xz")
        step = ACTION["runs"]["steps"]
        inputs = {name: entry["default"] for name, entry in ACTION["inputs"].items()} | {"package": "a.tar.xz", "file": "box.yaml"}
        self.assertEqual(0, runner.step(step[0], inputs), runner.said)
        self.assertEqual(125, runner.step(step[-1], inputs), runner.said)
        self.assertIn("box.yaml:5:", runner.said)
        self.assertIn("::error title=Mimic::the machine could not be booted", runner.said)
        self.assertEqual("125", runner.output("status"))
        self.assertIn("### Mimic: failed with status 125", runner.summary)


class Guest(Case):
    def test_a_command_in_a_guest(self):
        runner = self.runner()
        tarball(runner.workspace / "mimic-0-linux-x86_64.tar.xz")
        status = runner.action(package="mimic-*.tar.xz", file="box.yaml", set="name=lab", limit="300",
                               command="[ -e /none ] || cat /sys/class/mock-accel/mock0/status; exit 7 # [x]")
        self.assertEqual(7, status, runner.said)
        self.assertIn("0x00000000\n", runner.said)
        self.assertIn("::error title=Mimic::the command ended with 7", runner.said)
        self.assertEqual("7", runner.output("status"))
        record = json.loads(pathlib.Path(runner.output("record")).read_text())
        self.assertEqual(("lab", 7, {"name": "lab"}), (record["machine"], record["status"], record["parameters"]))
        self.assertRegex(runner.summary, r"\| file \| box\.yaml \|\n\| boot \| \d+\.\d s \|\n\| command \| \d+\.\d s \|\n")
        self.assertEqual([], list((runner.folder / "run/mimic").glob("*/")))


if __name__ == "__main__":
    names = [Guest] if "--guest" in sys.argv else [Metadata, Install, Cache, Run]
    suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(name) for name in names)
    sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
