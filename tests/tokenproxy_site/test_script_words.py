"""What a script says stands in the page, in its reader's language; a script holds none of it."""

import re
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "static" / "js"
# It writes programs.
NO_PROSE = {"playground-code.js"}
# Names of keys, headers and errors that browsers know.
OF_BROWSERS = {"Accept", "Authorization", "Enter", "Escape", "Home", "End", "AbortError"}
LITERAL = re.compile(r"""(["'`])((?:\\.|(?!\1)[^\\\n])*)\1""")
SENTENCE = re.compile(
    r"^\W*[A-Z][a-z’']+[.…!?]?$"  # a word that begins large
    r"|^\W*[A-Z][a-z’']+,? +[a-z]"  # the first words of a sentence
    r"|[a-z] [a-z]+[.!?]$"  # the last ones
)


def prose_of(script: str) -> list[str]:
    """Return the texts of a script that a reader could be shown."""
    code = re.sub(r"^\s*//.*$", "", script, flags=re.MULTILINE)
    found = (re.sub(r"\$\{[^}]*\}", "", match[1]) for match in LITERAL.findall(code))
    return [text for text in found if SENTENCE.search(text) and text not in OF_BROWSERS]


def test_no_script_holds_prose() -> None:
    scripts = [each for each in SCRIPTS.glob("*.js") if each.name not in NO_PROSE]

    assert {each.name: found for each in scripts if (found := prose_of(each.read_text()))} == {}


def test_prose_is_told_from_names() -> None:
    script = """
        // Says so: "This is a comment."
        say("Copied to the clipboard."); make("a", "", 'Receipt'); `About ${n} credits so far`;
        make("p", "faint numeric"); key === "Enter"; "aria-label"; `Bearer ${secret}`;
    """

    assert prose_of(script) == ["Copied to the clipboard.", "Receipt", "About  credits so far"]
