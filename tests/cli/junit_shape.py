#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""junit_shape.py FILE: whether a file is a JUnit report as CI systems read it: names, counts that add up, numbers where numbers
belong. Prints its cases, a line each: SUITE CASE passed|failure|error|skipped."""

import re
import sys
import xml.etree.ElementTree

ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "properties": set(), "property": {"name", "value"}, "testcase": {"classname", "name", "time"},
    "failure": {"type", "message"}, "error": {"type", "message"}, "skipped": {"message"},
}
CHILDREN = {"testsuites": {"testsuite"}, "testsuite": {"properties", "testcase"}, "properties": {"property"},
            "testcase": {"failure", "error", "skipped"}}


def outcome(case):
    assert len(case) <= 1, case.attrib
    return case[0].tag if len(case) == 1 else "passed"


def walk(element):
    assert set(element.attrib) == ATTRIBUTES[element.tag], (element.tag, element.attrib)
    for child in element:
        assert child.tag in CHILDREN.get(element.tag, ()), (element.tag, child.tag)
        walk(child)
    if element.tag in ("testsuites", "testsuite"):
        outcomes = [outcome(case) for case in element.iter("testcase")]
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.get(attribute)) == outcomes.count(tag), (attribute, element.attrib)
        assert int(element.get("tests")) == len(outcomes), element.attrib
        assert float(element.get("time")) >= 0
    if element.tag == "testsuite":
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", element.get("timestamp")), element.attrib


def cases(path):
    """(suite, case, outcome, text) of a report that is right; an AssertionError or ParseError for another."""
    root = xml.etree.ElementTree.parse(path).getroot()
    assert root.tag == "testsuites", root.tag
    walk(root)
    return [(suite.get("name"), case.get("name"), outcome(case), "".join(case.itertext()))
            for suite in root for case in suite.iter("testcase")]


if __name__ == "__main__":
    for suite_name, case_name, result, _ in cases(sys.argv[1]):
        print(suite_name, case_name, result)
