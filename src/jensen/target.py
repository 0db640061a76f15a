"""What the command is asked about: ``file.py:name``, ``package.module:name`` or ``gallery:name``: the name of a cost."""

from __future__ import annotations

import difflib
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from jensen.errors import Misuse

DEFAULT, FAMILY = "cost", "family"
GALLERY = "jensen.gallery"


def resolve(target: str) -> Any:
    """The cost that a target names.

    Args:
        target: ``file.py:name``, ``package.module:name`` or ``gallery:name``; the name is ``cost`` where it is left out.
            It may be a :class:`jensen.Cost`, or a function without arguments that returns one.

    Raises:
        Misuse: Where there is no such file, module or name, or it is no cost; with what was probably meant.
    """
    return resolve_with(target, ())[0]


def resolve_with(target: str, names: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """The cost that a target names, and other things of the same file or module by name: dicts of tensors, modules.

    Raises:
        Misuse: As for :func:`resolve`.
    """
    place, name = _split(target)
    module = _module(place)
    try:
        value = getattr(module, name)  # once: a module may make its cost when it is asked for
    except AttributeError:
        raise Misuse(f"{place} defines no {name!r}; {_suggest_cost(module, name, place)}") from None
    return _as_cost(value, place, name), {n: _thing(module, n, place) for n in names}


def _thing(module: ModuleType, name: str, place: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError:
        close = difflib.get_close_matches(name, [n for n in vars(module) if not n.startswith("_")], 1)
        meant = (
            f"did you mean {close[0]}?" if close else "name a dict of tensors or a module there, or a .safetensors file"
        )
        raise Misuse(f"{place} defines no {name!r}, and there is no such file; {meant}") from None


def _split(target: str, default: str = DEFAULT) -> tuple[str, str]:
    place, colon, name = target.rpartition(":")
    if not colon or not name.isidentifier():
        place, name = target.rstrip(":"), default
    if not place:
        raise Misuse("the target is empty; give file.py:name or package.module:name")
    return GALLERY if place == "gallery" and not Path(place + ".py").is_file() else place, name


def _module(place: str) -> ModuleType:
    return _from_file(Path(place)) if _is_file(place) else _from_module(place)


def _is_file(place: str) -> bool:
    return place.endswith(".py") or "/" in place or Path(place).is_file()


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise Misuse(f"there is no file {str(path)!r}{_suggest_file(path)}")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = path.stem if path.stem.isidentifier() and path.stem not in sys.modules else f"_jensen_target_{path.stem}"
    spec = spec_from_file_location(name, path, loader=SourceFileLoader(name, str(path)))
    if spec is None or spec.loader is None:
        raise Misuse(f"{path} cannot be loaded as Python; give a .py file")
    module = module_from_spec(spec)
    module.__jensen_target__ = True  # pyright: ignore[reportAttributeAccessIssue]  # workers get it by value: jensen.run.packing
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Misuse:
        raise
    except (Exception, SystemExit) as e:  # the file is the user's: anything can happen
        raise Misuse(_failed(str(path), e)) from e
    return module


def _from_module(place: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = find_spec(place)
    except (ImportError, ValueError, AttributeError):
        found = None
    if found is None:
        raise Misuse(f"there is no module {place!r}{_suggest_file(Path(place + '.py'))}")
    try:
        return import_module(place)
    except Misuse:
        raise
    except (Exception, SystemExit) as e:  # the module is the user's: anything can happen
        raise Misuse(_failed(place, e)) from e


def family(target: str) -> Any:
    """The function of a width that a target names; the name is ``family`` where it is left out.

    Raises:
        Misuse: Where there is no such file, module or name, or it is no function.
    """
    from jensen.cost import Cost

    place, name = _split(target, FAMILY)
    module = _module(place)
    found = getattr(module, name, None)
    if callable(found) and not isinstance(found, Cost):
        return found
    functions = [n for n, v in vars(module).items() if isinstance(v, FunctionType)]
    close = difflib.get_close_matches(name, functions, 1) or functions[:3]
    meant = f"did you mean {' or '.join(f'{place}:{n}' for n in close)}?" if close else f"define {name}(width) there"
    raise Misuse(f"{place} has no function {name!r} of a width that returns a cost; {meant}")


def _failed(place: str, error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    inside = [f for f in frames if Path(f.filename).name == Path(place).name]
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else (inside[-1].lineno if inside else None)
    where = f" at line {line}" if line else ""
    return f"{place} failed to load{where}: {type(error).__name__}: {' '.join(str(error).split())}"


def _as_cost(value: Any, place: str, name: str) -> Any:
    from jensen.cost import Cost

    if isinstance(value, Cost):
        return value
    if not callable(value):
        raise Misuse(f"{place}:{name} is {type(value).__name__}, not a jensen.Cost or a function that returns one")
    try:
        made = value()
    except Misuse:
        raise
    except (Exception, SystemExit) as e:  # the function is the user's: anything can happen
        raise Misuse(f"{name}() of {_failed(place, e)}".replace("failed to load", "failed", 1)) from e
    if not isinstance(made, Cost):
        raise Misuse(f"{place}:{name}() returned {type(made).__name__}, not a jensen.Cost")
    return made


def _suggest_cost(module: ModuleType, name: str, place: str) -> str:
    """Costs and close names of the module."""
    from jensen.cost import Cost

    costs = [n for n, v in vars(module).items() if isinstance(v, Cost)]
    close = difflib.get_close_matches(name, costs, 1) or costs[:3]
    close = close or difflib.get_close_matches(name, [n for n in vars(module) if not n.startswith("_")], 1)
    if close:
        return f"did you mean {' or '.join(f'{place}:{n}' for n in close)}?"
    return f"define {name} = jensen.Cost(...) there"


def _suggest_file(path: Path) -> str:
    folder = path.parent
    files = [p.name for p in folder.glob("*.py")] if folder.is_dir() else []
    close = difflib.get_close_matches(path.name, files, 1)
    if close:
        return f"; did you mean {folder / close[0]}?"
    return "; give a path to a .py file, or a module that Python can import from here"
