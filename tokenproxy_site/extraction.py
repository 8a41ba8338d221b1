"""Find what is to be translated, and bring the catalogues up to date: `make messages`.

Django's own command needs GNU gettext on the machine. Babel reads Python, and Django turns a
template into something that reads like it.
"""

import io
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

from tokenproxy_site.catalogues import sources

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("accounts", "billing", "common", "proxy", "tokenproxy_site")
# Staff read English.
OF_THE_DESK = ("templates/admin",)
KEYWORDS = {
    **DEFAULT_KEYWORDS,
    # The label of a class of tokens; what prices them may not know Django.
    "TokenClass": (3,),
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
}


def find_messages() -> Catalog:
    """Return all that the source has to translate, with the files that it stands in."""
    found = Catalog(charset="utf-8")
    for path, code in _texts():
        for _, words, comments, context in extract(
            "python", io.BytesIO(code.encode()), KEYWORDS, ("Translators:",)
        ):
            found.add(words, locations=[(path, 0)], auto_comments=comments, context=context or None)
    return found


def _texts() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield str(path.relative_to(ROOT)), path.read_text()
    for path in sorted((ROOT / "templates").rglob("*.*")):
        name = str(path.relative_to(ROOT))
        if path.suffix in {".html", ".txt"} and not name.startswith(OF_THE_DESK):
            # How a template is indented means nothing.
            lines = templatize(path.read_text()).splitlines()
            yield name, "\n".join(line.strip() for line in lines)


def updated(source: Path) -> str:
    """Return a catalogue with what the source has to translate now, and nothing else."""
    with source.open("rb") as file:
        catalogue = read_po(file)
    catalogue.update(find_messages(), no_fuzzy_matching=True, update_creation_date=False)
    catalogue.obsolete.clear()
    made = io.BytesIO()
    write_po(made, catalogue, width=100, sort_by_file=True, include_lineno=False)
    return made.getvalue().decode()


def main() -> None:
    """Bring each catalogue up to date, and say what is still to be translated."""
    # Nothing that a deployment sets is needed.
    settings.configure(LOCALE_PATHS=[ROOT / "locale"])
    for source in sources():
        source.write_text(updated(source))
        with source.open("rb") as file:
            missing = [
                each for each in read_po(file) if each.id and not _is_translated(each.string)
            ]
        print(f"{source}: {len(missing)} to translate")  # noqa: T201 - a command's answer


def _is_translated(words: str | tuple[str, ...] | list[str] | None) -> bool:
    return all(words) if isinstance(words, tuple | list) else bool(words)


if __name__ == "__main__":
    main()
