"""What is public: modules without an underscore, and the names in their `__all__`; each name is documented once."""

import importlib
import inspect
import pkgutil
import re
from enum import Enum
from functools import cache
from itertools import takewhile

import lab2

_LONGEST = 100  # characters of a constant's value that is shown


def modules():
    """Names of all public modules, without lab2 itself and the command line."""
    found = (name for _, name, _ in pkgutil.walk_packages(lab2.__path__, "lab2."))
    return [name for name in found if not any(part.startswith("_") for part in name.split("."))]


def pages():
    """For each module, what its page of the reference holds: entries, modules with pages of their own, hidden ones.

    A hidden module has the name of a function of its package, such as `lab2.cannon.quartics`. Its package's page holds
    what else is in it.
    """
    every = modules()
    found = {name: {"entries": entries(name), "modules": [], "hidden": []} for name in every}
    for module in every:
        package, _, name = module.rpartition(".")
        if package != "lab2":
            found[package]["hidden" if name in exported(package) else "modules"].append(module)
    return found


def exported(module):
    """The names in the `__all__` of a module, and what they are."""
    found = importlib.import_module(module)
    return {name: getattr(found, name) for name in getattr(found, "__all__", ())}


def entries(module):
    """What is documented under a module: its public names, without those that its package offers already.

    Returns
    -------
    list of dict
        name, in full; directive of Sphinx, the name that it shows, its options; note, the comment before a constant.
    """
    package = module.rpartition(".")[0]
    offered = () if package == "lab2" else exported(package)
    return [_entry(module, name, value) for name, value in exported(module).items() if name not in offered]


@cache
def places():
    """Where functions, classes and such are documented: the identity of each to its full name."""
    found = {}
    for module in modules():
        things = exported(module)
        for entry in entries(module):
            thing = things[entry["name"].rpartition(".")[2]]
            if not isinstance(thing, int | float | str):  # equal ones may be the same
                found[id(thing)] = entry["name"]
    return found


def thing(name):
    """What a full name such as "lab2.cannon.fitting.fit_labels" stands for; None if it stands for nothing."""
    module, _, last = name.rpartition(".")
    if not name.startswith("lab2."):
        return None
    try:
        return getattr(importlib.import_module(module), last, None)
    except ImportError:
        return None


def _entry(module, name, value):
    full, options, note = f"{module}.{name}", [], ""
    if inspect.isclass(value):
        kind, options = "autoclass", [":members:"]
        if issubclass(value, BaseException):
            kind, options = "autoexception", []
        elif issubclass(value, Enum):
            options.append(":undoc-members:")
        elif issubclass(value, lab2.files.Kept):
            options.append(":inherited-members:")  # save and load
    elif callable(value):
        kind = "autofunction"
    else:
        kind, note, text = "py:data", _comments(module).get(name, ""), repr(value)
        if isinstance(value, int | float | str | tuple) and len(text) <= _LONGEST:
            options = [f":value: {text}"]
    return {
        "name": full,
        "directive": kind,
        "shown": name if kind == "py:data" else full,
        "options": options,
        "note": note,
    }


@cache
def _comments(module):
    """The comment in the lines before each constant of a module."""
    lines, found = inspect.getsource(importlib.import_module(module)).splitlines(), {}
    for number, line in enumerate(lines):
        if name := re.match(r"([A-Z_]+)\b.* = ", line):
            before = takewhile(lambda one: one.startswith("#"), reversed(lines[:number]))
            found[name[1]] = " ".join(one.lstrip("#: ") for one in reversed(list(before)))
    return found
