# SPDX-License-Identifier: Apache-2.0
"""Checks the links of a built site: each to a file or heading of its own must lead there."""

import html.parser
import os
import urllib.parse


class Page(html.parser.HTMLParser):
    """Links out of a page and places in it."""

    def __init__(self, text):
        super().__init__()
        self.places, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        for key in ("id", "name"):
            if values.get(key):
                self.places.add(values[key])
        for key in ("href", "src"):
            if values.get(key) is not None:
                self.links.append((self.getpos()[0], values[key]))


def check(site):
    """(links followed, errors) of the HTML files under `site`."""
    pages = {path.relative_to(site).as_posix(): Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    count, errors = 0, []
    for name, page in pages.items():
        # Of the page for what is not found, which a server shows at any address: its links begin at the root.
        folder = os.path.dirname(name)
        for line, link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc or (name == "404.html" and link.startswith("/")):
                continue
            count += 1
            path = urllib.parse.unquote(parts.path)
            to = os.path.normpath(os.path.join(folder, path)) if path else name
            if (site / to).is_dir():
                to = os.path.normpath(os.path.join(to, "index.html"))
            if to.startswith("..") or not (site / to).is_file():
                errors.append(f"{name}:{line}: {link} leads to no file")
            elif parts.fragment and to in pages and urllib.parse.unquote(parts.fragment) not in pages[to].places:
                errors.append(f"{name}:{line}: {link} leads to no heading of {to}")
    return count, errors
