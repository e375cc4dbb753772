"""A configuration as canonical JSON: the same text for the same computation, in every process and on every machine."""

import dataclasses
import functools
import hashlib
import json
import math
import sys
from collections.abc import Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

SMALL = 64  # entries up to which an array is written out; larger ones are named by their digest


def canonical(value: Any) -> str:
    """`describe(value)` as JSON with sorted keys, no blanks and no NaN."""
    return json.dumps(describe(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def parse(text: str | bytes) -> Any:
    """The JSON types of `canonical`, with numbers that are not finite restored."""
    return json.loads(text, object_hook=lambda entry: float(entry["float"]) if set(entry) == {"float"} else entry)


def describe(value: Any, seen: tuple[int, ...] = ()) -> Any:
    """`value` as JSON types.

    Numbers and strings are themselves; arrays their entries, or a digest of them; dataclasses their type and fields
    (numbers that are neither static nor declared int are floats, so that 1 and 1.0 are one configuration); functions
    their code, defaults, what they close over and what they name in their own module.

    Raises:
        TypeError: an object whose content cannot be named.
    """
    if id(value) in seen:
        return {"recursive": len(seen) - seen.index(id(value))}
    seen = (*seen, id(value))
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"type": _home(type(value)), **{f.name: _field(f, value, seen) for f in dataclasses.fields(value)}}
    if isinstance(value, Mapping):
        return {str(key): describe(entry, seen) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [describe(entry, seen) for entry in value]
    if isinstance(value, set | frozenset):
        return {"set": sorted(json.dumps(describe(entry, seen), sort_keys=True) for entry in value)}
    if isinstance(value, np.ndarray) or hasattr(value, "__array__"):
        return _array(np.asarray(value))
    return _code(value, seen)


def _field(field: Any, owner: Any, seen: tuple[int, ...]) -> Any:
    value = getattr(owner, field.name)
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    leaf = number and not field.metadata.get("static", False) and field.type not in ("int", int)
    return describe(float(value) if leaf else value, seen)


def _array(array: np.ndarray) -> Any:
    if array.dtype.kind not in "biufc":
        raise TypeError(f"describe: an array of dtype {array.dtype} has no canonical form. Pass numbers.")
    if array.size <= SMALL and array.dtype.kind in "biuf":
        return {"array": [describe(entry) for entry in array.ravel().tolist()], "shape": list(array.shape)}
    exact = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
    return {"blake2b": _digest(exact.tobytes()), "dtype": exact.dtype.str, "shape": list(array.shape)}


def _code(value: Any, seen: tuple[int, ...]) -> Any:
    """Functions, and what they may close over."""
    if isinstance(value, functools.partial):
        return {"partial": describe(value.func, seen), "args": describe([*value.args, value.keywords], seen)}
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return {
            "function": _name(value),
            "code": _digest(_bytes(value.__code__)),
            "defaults": describe([value.__defaults__, value.__kwdefaults__], seen),
            "closure": describe(cells, seen),
            "module": {name: describe(entry, seen) for name, entry in _named(value).items()},
        }
    if hasattr(value, "__wrapped__"):  # jit and its like
        return describe(value.__wrapped__, seen)
    if hasattr(value, "__self__") and hasattr(value, "__func__"):
        return {"method": describe(value.__func__, seen), "of": describe(value.__self__, seen)}
    if isinstance(value, type | BuiltinFunctionType | ModuleType | np.ufunc | np.dtype):
        return {"name": _name(value)}
    raise TypeError(
        f"describe: {value!r} of type {type(value).__name__} cannot be named, so its rows could not be found again. "
        "Use numbers, arrays, frozen dataclasses or functions."
    )


def _named(function: FunctionType) -> dict[str, Any]:
    """The globals of its own module that a function reads: its helpers and constants. Others belong to a version."""
    found = {}
    for name in sorted(_names(function.__code__)):
        entry = function.__globals__.get(name)
        ours = isinstance(entry, FunctionType) and entry.__module__ == function.__module__
        if ours or isinstance(entry, int | float | str | tuple | np.ndarray):
            found[name] = entry
    return found


def _names(code: CodeType) -> set[str]:
    return set(code.co_names).union(*(_names(const) for const in code.co_consts if isinstance(const, CodeType)))


def _bytes(code: CodeType) -> bytes:
    consts = [_bytes(c).hex() if isinstance(c, CodeType) else _constant(c) for c in code.co_consts]
    return repr((code.co_code.hex(), consts, code.co_names, code.co_varnames, code.co_freevars)).encode()


def _constant(value: Any) -> str:
    return repr(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)


def _home(kind: type) -> str:
    """The name of a type, under the package of ours that exports it: rows are found again when its module is split."""
    package = kind.__module__.rpartition(".")[0]
    exported = package.startswith("ufm.") and getattr(sys.modules.get(package), kind.__name__, None) is kind
    return f"{package}.{kind.__name__}" if exported else _name(kind)


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', None) or str(value)}"


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
