"""One change for the worse, and the spellings that many of them share."""

from dataclasses import dataclass

LUA = "billing/wallet/functions.lua"
CLOSED = "  if not epoch then\n    return { 'RECOVERING' }\n  end\n"
CLOSED_UNREAD = "  if not read_epoch({}) then\n    return {{ 'RECOVERING' }}\n  end\n"
OVERTAKEN = "  if not is_rebuilding(keys[1], epoch) then\n    return { 'OVERTAKEN' }\n  end\n"
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
    """Return the path of a test file of the wallet, or of any other that is given in full."""
    return file if "/" in file else f"tests/billing/wallet/test_{file}.py"


def lua(name: str, old: str, new: str, *, within: str = "", tests: str = "functions") -> Mutant:
    return Mutant(name, LUA, old, new, tests, f"local function {within}" if within else "")


def service(name: str, module: str, old: str, new: str, *, tests: str) -> Mutant:
    return Mutant(name, f"billing/{module}.py", old, new, tests)
