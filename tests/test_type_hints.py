"""Type hints: of everything public, and true."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import lab2

# the command line, and what is being rewritten
_LEFT_OUT = ("lab2.network", "lab2.__main__")
MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(lab2.__path__, "lab2.")
    if not name.startswith(_LEFT_OUT) and "._" not in name
]


def public_functions(module):
    """Functions, and methods and properties of classes, in __all__ of the module that defines them, by name."""
    for name in getattr(module, "__all__", ()):
        one = getattr(module, name)
        if getattr(one, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(one):
            for own, member in vars(one).items():
                function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                if inspect.isfunction(function) and (not own.startswith("_") or own == "__init__"):
                    yield f"{name}.{own}", function
        elif inspect.isfunction(inspect.unwrap(one)):
            yield name, inspect.unwrap(one)


def without_hints(function):
    """The parameters that have no type hint, and "return" where the result has none."""
    signature = inspect.signature(function)
    found = [one.name for one in signature.parameters.values() if one.annotation is inspect.Parameter.empty]
    if signature.return_annotation is inspect.Signature.empty:
        found.append("return")
    return [name for name in found if name not in ("self", "cls")]


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_have_type_hints(name):
    module = importlib.import_module(name)
    lacking = {found: names for found, one in public_functions(module) if (names := without_hints(one))}
    assert lacking == {}


def test_functions_are_found():
    from lab2 import cannon, files

    assert "Cannon.predict" in dict(public_functions(cannon.model))
    assert "Kept.load" in dict(public_functions(files))
    assert without_hints(lambda a, b=1: a) == ["a", "b", "return"]


def test_the_package_says_that_it_has_them():
    assert (Path(lab2.__file__).parent / "py.typed").read_bytes() == b""
    assert "py.typed" in (Path(lab2.__file__).parents[1] / "pyproject.toml").read_text()
