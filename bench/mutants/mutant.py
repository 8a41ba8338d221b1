"""One change for the worse, and the spellings that many of them share."""

from dataclasses import dataclass
from pathlib import Path

LUA = Path("billing/wallet/lua")
ROOT = Path(__file__).resolve().parents[2]
PARTS = sorted((ROOT / LUA).iterdir())
UNKNOWN = "  if not register or not wallet then\n    return { 'UNKNOWN' }\n  end\n"
MISSING = "  if not wallet then\n    return { 'MISSING' }\n  end\n"


@dataclass(frozen=True)
class Mutant:
    """One change for the worse. `tests` are those that must notice, by their files' short names."""

    name: str
    file: str
    old: str
    new: str
    tests: str
    within: str = ""

    @property
    def paths(self) -> list[str]:
        """Where the tests are, as pytest takes it."""
        named = (test.partition("::") for test in self.tests.split())
        return [f"{place(file)}{mark}{test}" for file, mark, test in named]


def place(file: str) -> str:
    """Return the path of a test file of billing's by its short name, or of any given in full."""
    if "/" in file:
        return file
    for package in ("wallet", "ledger", "upkeep", "audit"):
        path = f"tests/billing/{package}/test_{file}.py"
        if (ROOT / path).is_file():
            return path
    raise ValueError(f"There is no test file {file!r}.")


def lua(name: str, old: str, new: str, *, within: str = "", tests: str = "functions") -> Mutant:
    """Return a mutant of the function library: of the part that has the text, or the function."""
    start = f"local function {within}" if within else ""
    parts = [part.name for part in PARTS if (start or old) in part.read_text()]
    if len(parts) != 1:
        raise ValueError(f"{name}: found in {len(parts)} parts of the library")
    return Mutant(name, str(LUA / parts[0]), old, new, tests, start)


def service(name: str, module: str, old: str, new: str, *, tests: str) -> Mutant:
    return Mutant(name, f"billing/{module}.py", old, new, tests)
