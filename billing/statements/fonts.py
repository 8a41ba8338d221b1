"""Which fonts a text needs. `billing/statements/font_files/README.md` says where they come from."""

import unicodedata
from functools import cache
from pathlib import Path

from fontTools.ttLib import TTFont

FOLDER = Path(__file__).resolve().parent / "font_files"
MAIN = "NotoSans"
# In order: a character is written in the first font that has it.
FALLBACKS = {
    "Hebrew": "NotoSansHebrew-Regular.ttf",
    "Arabic": "NotoSansArabic-Regular.ttf",
    "Devanagari": "NotoSansDevanagari-Regular.ttf",
    "Thai": "NotoSansThai-Regular.ttf",
    "Han": "DroidSansFallback.ttf",
}


def printable(text: str) -> str:
    """Return text that can be printed: a character in no font becomes its code, [U+1F680]."""
    return "".join(_printable(character) for character in unicodedata.normalize("NFC", text))


def fallbacks_for(text: str) -> list[str]:
    """Return the fallbacks that a text needs beside the main font. Most need none."""
    missing = {ord(character) for character in text} - characters_of(f"{MAIN}-Regular.ttf")
    needed = []
    for name, file in FALLBACKS.items():
        if not missing:
            break
        if missing & characters_of(file):
            needed.append(name)
            missing -= characters_of(file)
    return needed


@cache
def characters_of(file: str) -> frozenset[int]:
    """Return the characters that a font has. Each font file is read once, and only if needed."""
    with TTFont(FOLDER / file, lazy=True) as font:
        return frozenset(font.getBestCmap())


def _printable(character: str) -> str:
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    # Joiners and direction marks shape their neighbours and have no glyph of their own.
    if category == "Cf":
        return ""
    code = ord(character)
    if category != "Cc" and (
        code in characters_of(f"{MAIN}-Regular.ttf")
        or any(code in characters_of(file) for file in FALLBACKS.values())
    ):
        return character
    return f"[U+{code:04X}]"
