"""The examples of the documentation, run as they are printed on the page of the running site."""

import html
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stack.shop import Customer, Shop
from tokenproxy_site.docs.pages import PAGES

pytestmark = pytest.mark.stack

EXAMPLE = re.compile(r'<pre[^>]*><code data-example="([^"]+)">(.*?)</code></pre>', re.DOTALL)
COMMENT = re.compile(r"//.*$", re.MULTILINE)
PLACEHOLDER = "YOUR_API_KEY"
TIMEOUT_S = 30
# What needs clients that are not installed here: tests/conformance/suites/suite_recipes.py.
ELSEWHERE = ("recipe-", "config-")

Program = Callable[[Path], list[str]]


def in_bash(script: Path) -> list[str]:
    return ["bash", "-euo", "pipefail", str(script)]


def in_python(script: Path) -> list[str]:
    return [sys.executable, str(script)]


def in_node(script: Path) -> list[str]:
    node = shutil.which("node")
    if node is None:
        pytest.fail("Node.js is missing: install it with `apt-get install nodejs`")
    # The page says that the example is a module.
    return [node, "--input-type=module", "--eval", script.read_text()]


# Of each example that asks for a completion: what runs it.
COMPLETIONS: dict[str, Program] = {
    "curl-quickstart": in_bash,
    "curl-stream": in_bash,
    "python": in_python,
    "node": in_node,
    "node-answer": in_node,
    "openai-python": in_python,
    "openai-stream": in_python,
    "curl-completions": in_bash,
    "curl-responses": in_bash,
}
OTHERS = dict.fromkeys(
    (
        "curl-models",
        "curl-credits",
        "curl-usage",
        "curl-estimate",
        "curl-checkout",
        "curl-key",
        "curl-embeddings",
        "curl-input-tokens",
        "curl-one-model",
        "environment",
    ),
    in_bash,
)
# Excerpts: of a request, of answers, of a program that reads a delivery (`test_webhooks.py`).
EXCERPTS = {
    "authorization",
    "checkout",
    "credits",
    "error",
    "estimate",
    "request-body",
    "stream-events",
    "usage",
    "webhook-body",
    "webhook-check",
}


@pytest.fixture(scope="module")
def printed(shop: Shop) -> dict[str, str]:
    """The examples as a reader of the pages sees them."""
    pages = "".join(shop.http.get(page.path).text for page in PAGES)
    return {
        name: html.unescape(text)
        for name, text in EXAMPLE.findall(pages)
        if not name.startswith(ELSEWHERE)
    }


@pytest.fixture
def alice(shop: Shop) -> Customer:
    """Alice can pay for 4,096 completion tokens of gpt-4 and a prompt."""
    return shop.open_account(credits=100_000)


def run(example: str, program: Program, *, customer: Customer, folder: Path) -> str:
    """Run a text with the customer's key in it, and return what it prints."""
    script = folder / "example"
    script.write_text(example.replace(PLACEHOLDER, customer.secret))
    done = subprocess.run(
        program(script), capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_on_the_page_is_tried_here(printed: dict[str, str]) -> None:
    assert set(printed) == COMPLETIONS.keys() | OTHERS.keys() | EXCERPTS


@pytest.mark.parametrize("name", COMPLETIONS)
def test_it_runs_as_printed_and_is_charged(
    name: str, printed: dict[str, str], shop: Shop, alice: Customer, tmp_path: Path
) -> None:
    output = run(printed[name], COMPLETIONS[name], customer=alice, folder=tmp_path)

    assert output.strip()
    left = shop.settled(alice)
    [receipt] = shop.receipts(alice)
    assert (receipt.model_name, receipt.outcome) == ("gpt-4", "completed")
    # gpt-4 costs 3 credits per prompt token and 6 per completion token.
    assert 100_000 - left == 3 * receipt.prompt_tokens + 6 * receipt.completion_tokens > 0


@pytest.mark.parametrize("name", ["curl-quickstart", "python", "node"])
def test_it_prints_a_chat_completion(
    name: str, printed: dict[str, str], alice: Customer, tmp_path: Path
) -> None:
    output = run(printed[name], COMPLETIONS[name], customer=alice, folder=tmp_path)

    assert "chat.completion" in output
    assert "choices" in output
    assert "total_tokens" in output


def test_its_stream_ends_as_the_page_says(
    printed: dict[str, str], alice: Customer, tmp_path: Path
) -> None:
    output = run(printed["curl-stream"], in_bash, customer=alice, folder=tmp_path)

    events = output.strip().split("\n\n")
    assert events[-1] == "data: [DONE]" == printed["stream-events"].split("\n\n")[-1]
    first = json.loads(printed["stream-events"].split("\n\n")[0].removeprefix("data: "))
    assert first.keys() <= json.loads(events[1].removeprefix("data: ")).keys()


def test_its_models_are_a_list(printed: dict[str, str], alice: Customer, tmp_path: Path) -> None:
    output = json.loads(run(printed["curl-models"], in_bash, customer=alice, folder=tmp_path))

    assert output["object"] == "list"
    assert "gpt-4" in {model["id"] for model in output["data"]}


def test_its_balance_has_the_printed_fields(
    printed: dict[str, str], alice: Customer, tmp_path: Path
) -> None:
    output = json.loads(run(printed["curl-credits"], in_bash, customer=alice, folder=tmp_path))

    assert output.keys() == json.loads(printed["credits"]).keys()
    assert output["available_credits"] == 100_000


@pytest.mark.parametrize("name", ["estimate", "checkout"])
def test_its_answer_has_the_printed_fields(
    name: str, printed: dict[str, str], alice: Customer, tmp_path: Path
) -> None:
    output = json.loads(run(printed[f"curl-{name}"], in_bash, customer=alice, folder=tmp_path))

    assert output.keys() == json.loads(printed[name]).keys()


def test_its_receipt_has_the_printed_fields(
    printed: dict[str, str], shop: Shop, alice: Customer, tmp_path: Path
) -> None:
    request_id = shop.chat(alice).headers["x-request-id"]
    shop.settled(alice)

    example = printed["curl-usage"].replace("REQUEST_ID", request_id)
    output = json.loads(run(example, in_bash, customer=alice, folder=tmp_path))

    shown = json.loads(printed["usage"])
    assert output.keys() == shown.keys()
    assert output["lines"][0].keys() == shown["lines"][0].keys()


def test_the_printed_receipt_adds_up(printed: dict[str, str]) -> None:
    receipt = json.loads(printed["usage"])

    total = sum(line["tokens"] * line["rate_millicredits"] for line in receipt["lines"])
    assert total == receipt["sum_millicredits"] == receipt["charged_credits"] * 1_000
    assert receipt["held_credits"] == receipt["charged_credits"] + receipt["released_credits"]


def test_it_shows_what_the_key_may_do(
    printed: dict[str, str], alice: Customer, tmp_path: Path
) -> None:
    output = json.loads(run(printed["curl-key"], in_bash, customer=alice, folder=tmp_path))

    assert output["object"] == "key"
    assert {"limits", "spending", "allowed_models", "allowed_networks", "rotation"} <= set(output)


def test_its_error_is_what_such_a_request_gets(
    printed: dict[str, str], shop: Shop, alice: Customer
) -> None:
    response = shop.chat(alice, model="gpt-imaginary")

    assert response.status_code == 404
    assert response.json() == json.loads(printed["error"])


def test_its_request_body_is_accepted_without_the_comments(
    printed: dict[str, str], shop: Shop, alice: Customer
) -> None:
    body = json.loads(COMMENT.sub("", printed["request-body"]))

    response = shop.chat(alice, **body)

    assert response.status_code == 200, response.text


def test_its_header_is_the_one_that_the_api_reads(
    printed: dict[str, str], shop: Shop, alice: Customer
) -> None:
    name, _, value = printed["authorization"].partition(": ")

    response = shop.http.get("/v1/models", headers={name: value.replace(PLACEHOLDER, alice.secret)})

    assert response.status_code == 200
