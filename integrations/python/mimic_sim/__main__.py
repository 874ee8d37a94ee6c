# SPDX-License-Identifier: Apache-2.0
"""python3 -m mimic_sim --socket PATH FILE.py:NAME   Serves a function, a Device, or a class of it, out of a file."""

import argparse
import importlib
import importlib.util
import os
import signal
import sys

from . import Device, serve


def load(where):
    """The object that "file.py:name" or "module:name" means."""
    place, _, name = where.rpartition(":")
    if not place or not name:
        raise ValueError("%r: FILE.py:NAME or MODULE:NAME is meant" % where)
    if place.endswith(".py"):
        sys.path.insert(0, os.path.dirname(os.path.abspath(place)))
        spec = importlib.util.spec_from_file_location(os.path.basename(place)[:-3], place)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(place)
    try:
        return getattr(module, name)
    except AttributeError:
        raise ValueError("%s has no %r" % (place, name)) from None


def main():
    parser = argparse.ArgumentParser(prog="python3 -m mimic_sim", description=__doc__)
    parser.add_argument("model", metavar="FILE.py:NAME", help="function(work) -> ns, a Device, or a class of it")
    parser.add_argument("--socket", required=True, help="UNIX socket to serve; one that nobody serves is replaced")
    parser.add_argument("--pace", choices=("fast", "scaled"), default="fast")
    parser.add_argument("--scale", type=float, default=1.0, help="wall time is simulated time times this")
    parser.add_argument("--units", type=int, default=1, help="COMPUTEs at the same time")
    parser.add_argument("--clock", type=int, default=1_000_000_000, metavar="HZ")
    parser.add_argument("--memory", type=int, default=256 << 20, metavar="BYTES")
    arguments = parser.parse_args()
    try:
        model = load(arguments.model)
    except (OSError, ValueError, ImportError) as error:
        parser.error(str(error))
    if isinstance(model, type) and issubclass(model, Device):
        model = model(memory_size=arguments.memory, clock_hz=arguments.clock, units=arguments.units)
    settings = {}
    if not isinstance(model, Device):
        settings = dict(memory_size=arguments.memory, clock_hz=arguments.clock, units=arguments.units)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the socket goes, too
    try:
        serve(model, arguments.socket, arguments.pace, arguments.scale, **settings)
    except OSError as error:
        print("mimic_sim: %s: %s" % (arguments.socket, error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
