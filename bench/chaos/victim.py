"""`python -m bench.chaos.victim ROLE MODULE …`: run a module as `python -m` does, ready to die.

The product knows nothing of this: its named steps are wrapped as their modules are imported. A
death is SIGKILL, so nothing of the process gets a word in.
"""

import functools
import importlib.abc
import importlib.machinery
import inspect
import os
import runpy
import signal
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from bench.chaos.kill_points import POINTS, Order, Watch

ORDERS_VARIABLE = "CHAOS_ORDERS"


def main() -> None:
    """Wrap the named steps and become the module that the arguments name."""
    role, *argv = sys.argv[1:]
    watch = Watch.of(os.environ[ORDERS_VARIABLE], role)
    sys.meta_path.insert(0, Wrapper(watch))
    sys.argv = argv
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


class Wrapper(importlib.abc.MetaPathFinder):
    """Lets the usual finders find a module, and wraps its named steps once it is loaded."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._points: dict[str, list[str]] = {}
        for point in POINTS:
            module, _, name = point.partition(":")
            self._points.setdefault(module, []).append(name)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the module's own spec, with a loader that wraps afterwards."""
        if name not in self._points:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            self._wrap_after(spec.loader, name)
        return spec

    def _wrap_after(self, loader: Any, name: str) -> None:
        execute = loader.exec_module

        def execute_and_wrap(module: ModuleType) -> None:
            execute(module)
            for step in self._points[name]:
                wrap(module, step, self._watch)

        loader.exec_module = execute_and_wrap


def wrap(module: ModuleType, step: str, watch: Watch) -> None:
    """Replace a function or method by one that may die. Raises AttributeError if there is none."""
    owner: Any = module
    *holders, name = step.split(".")
    for holder in holders:
        owner = getattr(owner, holder)
    function = getattr(owner, name)
    setattr(owner, name, mortal(function, f"{module.__name__}:{step}", watch))


def mortal(function: Callable[..., Any], point: str, watch: Watch) -> Callable[..., Any]:
    """Return a function that does the same, and may die before or after it."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        die_of(watch.is_due(point, "before"))
        result = function(*args, **kwargs)
        die_of(watch.is_due(point, "after"))
        return result

    @functools.wraps(function)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        die_of(watch.is_due(point, "before"))
        result = await function(*args, **kwargs)
        die_of(watch.is_due(point, "after"))
        return result

    return call_async if inspect.iscoroutinefunction(function) else call


def die_of(order: Order | None) -> None:
    """Kill this process, and whatever it has started, if there is an order."""
    if order is not None:
        # The launcher gives each of its children a session of its own.
        os.killpg(os.getsid(0), signal.SIGKILL)


if __name__ == "__main__":
    main()
