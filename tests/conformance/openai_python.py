"""openai-python's own tests, from its source distribution, with the few edits that they need.

They are written for a mock server that accepts anything. Where a test asks for what no server
could meet, or names a thing that only the mock has, an edit says what it becomes and why; each
must still match, so that a new version of the tests is looked at before it is believed.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

PINNED = Path(__file__).with_name("openai-sdist.txt")
RESOURCES = "tests/api_resources"
# Every test file of the endpoints that we serve, and what in it is not theirs.
FILES = {
    f"{RESOURCES}/chat/test_completions.py": "retrieve, update, list and delete stored completions",
    f"{RESOURCES}/test_completions.py": "",
    f"{RESOURCES}/test_embeddings.py": "",
    f"{RESOURCES}/test_models.py": "delete a fine-tuned model",
    f"{RESOURCES}/test_responses.py": "retrieve, delete, cancel and compact stored responses",
}
# The endpoints behind these do not exist here; the README lists them with their counts.
LEFT_OUT = (
    "_delete or _cancel or _compact or test_method_update or test_raw_response_update "
    "or test_streaming_response_update or test_path_params_update"
)
LEFT_OUT_OF = {
    f"{RESOURCES}/chat/test_completions.py": "_retrieve or _list",
    f"{RESOURCES}/test_responses.py": "_retrieve",
}


@dataclass(frozen=True)
class Edit:
    """A change of a test file."""

    file: str
    pattern: str
    replacement: str
    reason: str


CHAT = f"{RESOURCES}/chat/test_completions.py"
RESPONSES = f"{RESOURCES}/test_responses.py"
EMBEDDINGS = f"{RESOURCES}/test_embeddings.py"
COMPLETIONS = f"{RESOURCES}/test_completions.py"
# An argument over several lines, or on one.
BLOCK = r"^( +){name}=\{{\n(?:\1 .*\n)+?\1\}},\n"
LIST = r"^( +){name}=\[\n(?:\1 .*\n)+?\1\],\n"
LINE = r"^ +{name}=.*\n"
OPTIONS_WITHOUT_STREAM = r"( +stream=False,\n) +stream_options=\{\n(?:.*\n)*? +\},\n"

EDITS = (
    Edit(
        "tests/conftest.py",
        r'^api_key = "My API Key"',
        'api_key = os.environ["CONFORMANCE_API_KEY"]',
        "the mock server takes any key",
    ),
    Edit(CHAT, r"max_completion_tokens=0", "max_completion_tokens=16", "0 tokens can't be asked"),
    Edit(CHAT, LINE.format(name="max_tokens"), "", "not both maxima, and not 0"),
    Edit(CHAT, OPTIONS_WITHOUT_STREAM, r"\1", "stream_options only go with a stream"),
    Edit(
        CHAT,
        BLOCK.format(name="web_search_options"),
        "",
        "refused: a web search has a price of its own, which is not offered here",
    ),
    Edit(COMPLETIONS, OPTIONS_WITHOUT_STREAM, r"\1", "stream_options only go with a stream"),
    Edit(
        EMBEDDINGS,
        r'(model="text-embedding-3-small",\n)( +)\)',
        r'\1\2    encoding_format="float",\n\2)',
        "the client asks for base64 by itself, which its own strict validation then refuses",
    ),
    Edit(
        RESPONSES,
        r"(\.create\()\)",
        r'\1model="gpt-6-astra", input="string")',
        "nothing can be answered or priced without a model and an input",
    ),
    Edit(
        RESPONSES,
        r"(\.create\(\n +stream=True,\n)( +\))",
        r'\1model="gpt-6-astra", input="string",\n\2',
        "nothing can be answered or priced without a model and an input",
    ),
    Edit(
        RESPONSES,
        r"( +stream=False,\n) +stream_options=.*\n",
        r"\1",
        "stream_options only go with a stream",
    ),
    Edit(RESPONSES, LINE.format(name="background"), "", "no stored responses: no background"),
    Edit(RESPONSES, BLOCK.format(name="background_options"), "", "no background mode"),
    Edit(RESPONSES, LINE.format(name="conversation"), "", "no such conversation"),
    Edit(RESPONSES, LINE.format(name="previous_response_id"), "", "no such response"),
    Edit(RESPONSES, BLOCK.format(name="prompt"), "", "no such prompt template"),
    Edit(
        RESPONSES,
        LIST.format(name="context_management"),
        "",
        "refused: what a compaction would cost is not known beforehand",
    ),
    Edit(RESPONSES, r"max_tool_calls=0", "max_tool_calls=1", "0 calls can't be asked for"),
)


def prepare(folder: Path, python: Path) -> Path:
    """Fetch the pinned distribution, unpack its tests and edit them. Return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = _fetch(folder, python)
    tests = folder / "openai-python"
    shutil.rmtree(tests, ignore_errors=True)
    # Its hash is pinned, and 3.11.2 does not know the filters of later versions yet.
    shutil.unpack_archive(archive, tests)
    [root] = tests.iterdir()
    # The installed package is under test, not this copy of it.
    shutil.rmtree(root / "src")
    for edit in EDITS:
        _apply(edit, root)
    return root


def _fetch(folder: Path, python: Path) -> Path:
    """The archive; pip checks its hash, also of one that is here already."""
    subprocess.run(
        [
            str(python), "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--require-hashes",
            "--dest", str(folder), "-r", str(PINNED),
        ],
        check=True,
    )  # fmt: skip
    version = PINNED.read_text().split()[0].partition("==")[2]
    return folder / f"openai-{version}.tar.gz"


def _apply(edit: Edit, root: Path) -> None:
    path = root / edit.file
    text, count = re.subn(edit.pattern, edit.replacement, path.read_text(), flags=re.MULTILINE)
    if not count:
        raise ValueError(f"{edit.file} has changed: nothing matches {edit.pattern!r}")
    path.write_text(text)


def arguments(root: Path) -> list[str]:
    """What pytest is told: the files, without the tests of endpoints that do not exist here."""
    deselected = []
    for file, words in LEFT_OUT_OF.items():
        deselected += _tests_with(root / file, file, words)
    chosen = [str(root / file) for file in FILES]
    return ["-k", f"not ({LEFT_OUT})", *deselected, *chosen]


def _tests_with(path: Path, file: str, words: str) -> list[str]:
    """Deselect the tests of one file whose names hold one of these words."""
    names = re.findall(
        r"^class (\w+)|^    (?:async )?def (test_\w+)", path.read_text(), re.MULTILINE
    )
    deselected = []
    current = ""
    for of_class, of_test in names:
        current = of_class or current
        if any(word in of_test for word in words.split(" or ")):
            deselected += ["--deselect", f"{file}::{current}::{of_test}"]
    return deselected
