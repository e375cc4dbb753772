"""Which code made a number: a version with a digest of the sources, so that a changed line is another version."""

import functools
import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What no number of a row depends on.
ELSEWHERE = ("face", "figures", "verify", "cli.py", "__init__.py", "__main__.py", "sweep", "transfer")
ROW_MAKERS = ("sweep/case.py", "sweep/rows.py", "sweep/together.py")


@functools.cache
def code_version() -> str:
    """The installed version, and 12 hex digits of the sources that solve, certify and measure."""
    files = [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] not in ELSEWHERE]
    return f"{installed('ufm')}+{source_digest([*files, *(ROOT / name for name in ROW_MAKERS)], ROOT)}"


def source_digest(files: list[Path], root: Path) -> str:
    """12 hex digits of the names and contents of these files."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


@functools.cache
def installed(name: str) -> str:
    """The version of an installed distribution."""
    try:
        return version(name)
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"
