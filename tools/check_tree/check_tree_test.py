# SPDX-License-Identifier: Apache-2.0
"""Self-test: each rule catches a bad sample and leaves a good one alone."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import commit_title  # noqa: E402
import doc_rules  # noqa: E402
import include_rules  # noqa: E402
import kernel_rules  # noqa: E402
import text_rules  # noqa: E402
import unity_rules  # noqa: E402
from tree import Tree  # noqa: E402

APACHE = "// SPDX-License-Identifier: Apache-2.0\n"
HEADER = APACHE + "#pragma once\n"


def found(rule, **files):
    """Messages of `rule` on a tree of {path: content}."""
    with tempfile.TemporaryDirectory() as root:
        paths = []
        for path, content in files["tree"].items():
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", newline="", encoding="utf-8") as file:
                file.write(content)
            paths.append(path)
        return [breach.message for breach in rule(Tree(root, sorted(paths))) if not breach.is_warning]


class TextRules(unittest.TestCase):
    def one(self, rule, path, bad, good):
        self.assertEqual(len(found(rule, tree={path: bad})), 1, "bad sample not caught")
        self.assertEqual(found(rule, tree={path: good}), [])

    def test_size(self):
        self.one(text_rules.sizes, "src/base/a.cpp", "\n" * 801, "\n" * 800)

    def test_size_does_not_count_data(self):
        self.assertEqual(found(text_rules.sizes, tree={"tests/fuzz/corpus/a.h": "\n" * 2000}), [])

    def test_founding(self):
        for bad in ("as seed 001 shows it", "Seeds 000 and 001", "the seed's packet"):
            self.one(text_rules.founding, "docs/a.md", bad + "\n", "the same seed gives the same times\n")
        self.assertEqual(found(text_rules.founding, tree={"src/lib/a.cpp": "// The cloud-init seed's two files\n"}), [])

    def test_columns(self):
        self.one(text_rules.columns, "src/base/a.cpp", "x" * 101 + "\n", "x" * 100 + "\n")
        self.one(text_rules.columns, "tools/a.sh", "x" * 141 + "\n", "x" * 140 + "\n")
        self.one(text_rules.columns, "kernel/a/a.c", "\t" * 13 + "\n", "\t" * 12 + "\n")

    def test_white_space(self):
        self.one(text_rules.white_space, "src/base/a.cpp", "int a; \n", "int a;\n")
        self.one(text_rules.white_space, "src/base/a.cpp", "int a;\r\n", "int a;\n")
        self.one(text_rules.white_space, "src/base/a.cpp", "int a;", "int a;\n")
        self.one(text_rules.white_space, "src/base/a.cpp", "\tint a;\n", "    int a;\n")
        self.assertEqual(found(text_rules.white_space, tree={"kernel/a/a.c": "\tint a;\n"}), [])
        self.assertEqual(found(text_rules.white_space, tree={"Makefile": "a:\n\ttrue\n"}), [])
        self.assertEqual(found(text_rules.white_space, tree={"tests/a/go.mod": "require (\n\ta v1\n)\n"}), [])

    def test_licence(self):
        self.one(text_rules.licences, "src/base/a.cpp", "int a;\n", APACHE + "int a;\n")
        self.one(text_rules.licences, "kernel/a/a.c", APACHE, "// SPDX-License-Identifier: GPL-2.0\n")
        self.one(text_rules.licences, "src/a.h", "// SPDX-License-Identifier: GPL-2.0\n", APACHE)
        self.one(text_rules.licences, "tools/run", "#!/bin/bash\n", "#!/bin/bash\n#" + APACHE)

    def test_pragma_once(self):
        self.one(text_rules.pragma_once, "src/base/a.h", APACHE, HEADER)

    def test_todo(self):
        self.one(text_rules.todos, "src/base/a.cpp", "// TO" "DO: later\n", "// TO" "DO(#12): later\n")

    def test_registry(self):
        for name, ending in text_rules.REGISTRIES:
            self.one(text_rules.registries, "docs/a.md", "see deb.%s.%s/x\n" % (name, ending), "see %s\n" % name)
        module = "go" "lang.org"
        self.one(text_rules.registries, "tests/a/go.sum", "proxy.%s\n" % module, "google.%s/grpc v1 %s/x/sys\n" % (module, module))


class IncludeRules(unittest.TestCase):
    def arrow(self, path, name):
        return found(include_rules.arrows, tree={path: '#include "%s"\n' % name})

    def test_down_is_allowed(self):
        for path, name in (("src/lib/reg/a.h", "base/b.h"), ("src/transports/vfio_user/a.h", "pci/b.h"),
                           ("src/devices/x/a.h", "pci/b.h"), ("src/devices/x/a.h", "devices/x/b.h"),
                           ("src/run/machine/a.h", "devices/x/b.h"), ("src/cli/a.cpp", "vfio_user/b.h"),
                           ("src/plan/topology/a.h", "topology/b.h")):
            self.assertEqual(self.arrow(path, name), [], "%s -> %s" % (path, name))

    def test_up_and_sideways_are_caught(self):
        for path, name in (("src/lib/base/a.h", "reg/b.h"), ("src/lib/pci/a.h", "vfio_user/b.h"),
                           ("src/transports/vfio_user/a.h", "trace/b.h"), ("src/devices/x/a.h", "vfio_user/b.h"),
                           ("src/devices/x/a.h", "devices/y/b.h"), ("src/devices/x/a.h", "topology/b.h"),
                           ("src/plan/topology/a.h", "devices/x/b.h"), ("src/run/machine/a.h", "cli/b.h"),
                           ("src/plan/topology/a.h", "machine/b.h"), ("src/newlayer/a.h", "base/b.h")):
            self.assertEqual(len(self.arrow(path, name)), 1, "%s -> %s" % (path, name))

    def test_form(self):
        for name in ("b.h", "../base/b.h", "src/lib/base/b.h", "lib/base/b.h"):
            self.assertEqual(len(self.arrow("src/lib/base/a.cpp", name)), 1, name)
        self.assertEqual(len(found(include_rules.arrows, tree={"src/lib/reg/a.h": "#include <base/b.h>\n"})), 1)
        self.assertEqual(found(include_rules.arrows, tree={"src/lib/reg/a.h": "#include <memory>\n"}), [])

    def test_own_header_first(self):
        bad = {"src/lib/pci/a.h": "", "src/lib/pci/a.cpp": '#include <vector>\n#include "pci/a.h"\n'}
        good = {"src/lib/pci/a.h": "", "src/lib/pci/a.cpp": '#include "pci/a.h"\n#include <vector>\n'}
        self.assertEqual(len(found(include_rules.own_header_first, tree=bad)), 1)
        self.assertEqual(found(include_rules.own_header_first, tree=good), [])


    def test_devices_are_named_at_home_only(self):
        model = {"src/devices/foo_bar/model.h": 'kModel{.facts = {.name = "foo-bar"}};'}
        for path in ("src/devices/foo_bar/a.cpp", "src/run/machine/a_test.cpp", "docs/a.md", "src/cli/foo_bar_server.cpp"):
            self.assertEqual(found(include_rules.devices_named, tree=dict(model, **{path: "foo-bar foo_bar\n"})), [], path)
        for text in ("foo-bar", "foo_bar::kMap", "a foo-bar."):
            tree = dict(model, **{"src/run/machine/a.cpp": text + "\n"})
            self.assertEqual(len(found(include_rules.devices_named, tree=tree)), 1, text)
        language = {"src/devices/foo_bar/model.h": '.name = "foo-bar", .source = model::Source::kImages'}
        self.assertEqual(found(include_rules.devices_named, tree=dict(language, **{"src/run/a/a.cpp": "foo-bar\n"})), [])


class DocRules(unittest.TestCase):
    TABLE = "| feature | test |\n|---|---|\n| loop | `%s` |\n"

    def test_feature_tests(self):
        tree = {"src/lib/base/CMakeLists.txt": "mimic_test(base_test SOURCES a_test.cpp)\n",
                "src/lib/base/a_test.cpp": "TEST(Loop, Runs) {\n"}
        for name in ("base_test", "Loop.Runs", "Loop", "src/lib/base/a_test.cpp", "src/lib/base/"):
            self.assertEqual(found(doc_rules.feature_tests, tree=dict(tree, **{"README.md": self.TABLE % name})), [])
        for name in ("other_test", "Loop.Stops", "src/other"):
            for page in ("README.md", "docs/features.md"):
                wrong = {page: self.TABLE % name}
                self.assertEqual(len(found(doc_rules.feature_tests, tree=dict(tree, **wrong))), 1)

    def test_names_of_loops_and_functions(self):
        text = "function(vm_test scenario kernel)\n  add_test(NAME vm_${scenario}_${kernel} COMMAND x)\nendfunction()\n" \
               "foreach(name a b)\n  foreach(kernel 6.1 6.12)\n    vm_test(${name} ${kernel} CONFIGURATIONS y)\n" \
               "  endforeach()\nendforeach()\n" \
               "vm_test(c 6.1)\nadd_test(NAME plain COMMAND x)\nadd_test(NAME ${unknown}_test COMMAND x)\n"
        self.assertEqual(doc_rules.registered(text), {"vm_a_6.1", "vm_a_6.12", "vm_b_6.1", "vm_b_6.12", "vm_c_6.1", "plain"})

    def test_page_links(self):
        tree = {"docs/a.md": "", "src/x/y.h": ""}
        for good in ("[a](a.md#b)", "[x](../src/x/)", "[x](../src/x/y.h) [](..)", "[w](https://w.example)", "[h](#h)", "`[a](b)`",
                     "```\n[a](b)\n```"):
            self.assertEqual(found(doc_rules.page_links, tree=dict(tree, **{"docs/b.md": good + "\n"})), [], good)
        for bad in ("[a](c.md)", "[a](../src/z)", "[a](/docs/a.md)", "[a](b.md) [a](../../b.md#c)"):
            self.assertEqual(len(found(doc_rules.page_links, tree=dict(tree, **{"docs/b.md": bad + "\n"}))), 1, bad)

    def test_layers(self):
        right = "".join("| `src/%s` | what | %s |\n" % (layer, ", ".join(sorted(below)) or "nothing")
                        for layer, below in reversed(list(include_rules.MAY_INCLUDE.items())))
        self.assertEqual(found(doc_rules.layers, tree={"ARCHITECTURE.md": right}), [])
        rows = right.split("\n")
        pci = next(row for row in rows if row.startswith("| `src/pci`"))
        for wrong in (right.replace(pci + "\n", ""),                               # a folder is missing
                      right + "| `src/elsewhere` | what | base |\n",               # one that there is not
                      right.replace(pci, "| `src/pci` | what | base, memory |"),           # reg is allowed, and not named
                      right.replace(pci, "| `src/pci` | what | base, memory, reg, cli |")):  # cli is named, and not allowed
            self.assertEqual(len(found(doc_rules.layers, tree={"ARCHITECTURE.md": wrong})), 1, wrong)

    def test_module_versions(self):
        conf = {"kernel/a-b/dkms.conf": 'PACKAGE_NAME="a-b"\nPACKAGE_VERSION="1.1.0"\n'}
        good = "cp -r . /usr/src/a-b-1.1.0 && dkms install a-b/1.1.0, not xa-b-1.0 or a-b-1.md"
        self.assertEqual(found(doc_rules.module_versions, tree=dict(conf, **{"kernel/a-b/README.md": good})), [])
        for bad in ("dkms install a-b/1.0.0", "/usr/src/a-b-1.1.1/"):
            tree = dict(conf, **{"docs/a.md": bad + "\n"})
            self.assertEqual(len(found(doc_rules.module_versions, tree=tree)), 1, bad)
        source = dict(conf, **{"kernel/a-b/main.c": 'MODULE_VERSION("1.0.0");\n'})
        self.assertEqual(len(found(doc_rules.module_versions, tree=source)), 1)

    def test_markers(self):
        begin, end = "<!-- begin generated: x -->\n", "<!-- end generated -->\n"
        for bad in (begin, end, begin + begin + end):
            self.assertEqual(len(found(doc_rules.markers, tree={"docs/a.md": bad})), 1)
        self.assertEqual(found(doc_rules.markers, tree={"docs/a.md": begin + end}), [])


class KernelRules(unittest.TestCase):
    def test_circles(self):
        tree = {"kernel/m/Kbuild": "", "kernel/m/a.h": "", "kernel/m/b.h": "", "kernel/m/a.c": '#include "b.h"\n',
                "kernel/m/b.c": '#include "b.h"\n'}
        self.assertEqual(found(kernel_rules.circles, tree=tree), [])
        bad = dict(tree, **{"kernel/m/b.h": '#include "c.h"\n', "kernel/m/c.h": "", "kernel/m/c.c": '#include "a.h"\n'})
        self.assertEqual(found(kernel_rules.circles, tree=bad), ["files need each other in a circle: a -> b -> c -> a"])


    def test_shared_files_are_links(self):
        with tempfile.TemporaryDirectory() as root:
            for folder in ("common", "m", "n"):
                os.makedirs(os.path.join(root, "kernel", folder))
            paths = ["kernel/common/a.c", "kernel/m/a.c", "kernel/n/a.c"]
            for path in (paths[0], paths[2]):
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write("int a;\n")
            os.symlink("../common/a.c", os.path.join(root, paths[1]))
            self.assertEqual([breach.path for breach in kernel_rules.shared_files(Tree(root, paths))], [paths[2]])


class UnityRules(unittest.TestCase):
    def one(self, first, second, message, path="src/a/b.cpp"):
        tree = {"src/a/a.cpp": "namespace {\n%s\n}  // namespace\n" % first, path: "namespace {\n%s\n}  // namespace\n" % second}
        self.assertEqual(found(unity_rules.anonymous_names, tree=tree), [message] if message else [])

    def test_collisions(self):
        for first, second, name in (
                ("constexpr size_t kMax = 1;", "constexpr int kMax = 2;  // other", "kMax"),
                ("int complain(const Error& error) {\n}", "int complain(const Error& why) {\n}", "complain(const Error&)"),
                ("class A {\n};", "struct A {\n};", "A"),
                ("std::string f(int a,\n    int b) {\n}", "std::string f(int x, int y) {\n}", "f(int, int)")):
            self.one(first, second, "%s is in the anonymous namespace of a.cpp, too" % name)

    def test_what_does_not_collide(self):
        for first, second in (("int f(int a) {\n}", "int f(long a) {\n}"), ("class A;", "class A;"),
                              ("Status A::stop() {\n}", "Status B::stop() {\n}")):
            self.one(first, second, None)
        self.one("class A {\nprivate:\n    void f() {\n    }\n};", "class B {\nprivate:\n    void f() {\n    }\n};", None)
        self.one("constexpr int kMax = 1;", "constexpr int kMax = 1;", None, "src/a/b_test.cpp")
        self.one("constexpr int kMax = 1;", "constexpr int kMax = 1;", None, "src/b/b.cpp")


class CommitTitle(unittest.TestCase):
    def test_good(self):
        for title in ("pci: reset BARs on FLR", "kernel: mock-accel: fix leak", "src/reg: add arrays"):
            self.assertEqual(commit_title.problems(title + "\n\nWhy and how tested.\n"), [])

    def test_bad(self):
        for message in ("reset BARs\n\nBody\n", "pci: " + "x" * 70 + "\n\nBody\n", "pci: reset BARs.\n\nBody\n",
                        "pci: reset BARs\nBody\n", "pci: reset BARs\n"):
            self.assertEqual(len(commit_title.problems(message)), 1, message)


if __name__ == "__main__":
    unittest.main()
