"""The catalogues of translations: locale/*/LC_MESSAGES/django.po, and what gettext reads of each.

The binary file is made from the text when a process starts, if it is not of that very text, so none
is out of date. An image is built by running a command of the product, and its file system may be
read-only afterwards.
"""

import gettext
import hashlib
import tempfile
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

CONTEXT, DIGEST = "catalogue", "digest"


def sources() -> list[Path]:
    """Return the catalogues that translators write."""
    return [path for root in settings.LOCALE_PATHS for path in sorted(Path(root).glob("*/*/*.po"))]


def refresh() -> None:
    """Make the binary files that are missing or out of date. Safe to run at once.

    Raises ImproperlyConfigured if one is, and can't be written.
    """
    for source in sources():
        text = source.read_bytes()
        digest = hashlib.sha256(text).hexdigest()
        if _digest_of(source.with_suffix(".mo")) != digest:
            try:
                _compile(source, digest)
            except OSError as error:
                raise ImproperlyConfigured(
                    f"{source} was changed and its .mo can't be written: run any command of"
                    " manage.py where it can."
                ) from error


def _digest_of(made: Path) -> str:
    try:
        with made.open("rb") as file:
            return gettext.GNUTranslations(file).pgettext(CONTEXT, DIGEST)
    except (FileNotFoundError, OSError, ValueError):
        return ""


def _compile(source: Path, digest: str) -> None:
    # Most processes find nothing to do.
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    with source.open("rb") as file:
        catalogue = read_po(file, abort_invalid=True)
    catalogue.add(DIGEST, digest, context=CONTEXT)
    with tempfile.NamedTemporaryFile(dir=source.parent, delete=False) as made:
        write_mo(made, catalogue)
    # Others may read it as another user.
    Path(made.name).chmod(0o644)
    Path(made.name).replace(source.with_suffix(".mo"))
