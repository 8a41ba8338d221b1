"""The staff desk's pages about money: one module per noun, each of which registers its pages.

Money tables are read-only for everyone. Actions change them (see `accounts.desk.actions`).
"""

from importlib import import_module
from pkgutil import iter_modules

for module in iter_modules(__path__, f"{__name__}."):
    import_module(module.name)
