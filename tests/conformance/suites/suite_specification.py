"""schemathesis: requests made from OpenAI's specification, and what must hold of every answer."""

import array
import base64
import json
import os
from pathlib import Path
from typing import Any

import hypothesis
import jsonschema
import pytest
import schemathesis
from answers import check_stream
from target import API_KEY, BASE_URL

EXAMPLES = int(os.environ.get("CONFORMANCE_EXAMPLES", "25"))
SPECIFICATION = Path(__file__).parents[1] / "openai-api.json"
# In the reference, and not served: the product has no moderation.
NOT_SERVED = {"/moderations"}
MODELS = {
    "/chat/completions": "gpt-4o",
    "/completions": "gpt-3.5-turbo-instruct",
    "/embeddings": "text-embedding-3-small",
    "/responses": "gpt-4o",
}


def load() -> dict[str, Any]:
    """The specification of what we serve; of the answers, those that it was cut with."""
    document: dict[str, Any] = json.loads(SPECIFICATION.read_text())
    paths = {path: rules for path, rules in document["paths"].items() if path not in NOT_SERVED}
    for rules in paths.values():
        for operation in rules.values():
            operation["responses"] = {"200": operation["responses"]["200"]}
    return {**document, "paths": paths}


DOCUMENT = load()
schema = schemathesis.openapi.from_dict(DOCUMENT)


def in_json_schema(node: Any) -> Any:
    """OpenAPI 3.0's `nullable` in JSON schema's words."""
    if isinstance(node, list):
        return [in_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    said = {key: in_json_schema(value) for key, value in node.items()}
    if said.pop("nullable", False) is True:
        return {"anyOf": [said, {"type": "null"}]}
    return said


COMPONENTS = in_json_schema(DOCUMENT["components"])


def check_success(path: str, method: str, answer: Any) -> None:
    """The body fits the specification."""
    if path == "/embeddings":
        # The specification offers base64 for the request, and forgets it in the answer.
        for row in answer["data"]:
            if isinstance(row["embedding"], str):
                coded = base64.b64decode(row["embedding"], validate=True)
                row["embedding"] = array.array("f", coded).tolist()
    content = DOCUMENT["paths"][path][method]["responses"]["200"]["content"]["application/json"]
    rules = {**in_json_schema(content["schema"]), "components": COMPONENTS}
    errors = list(jsonschema.Draft202012Validator(rules).iter_errors(answer))
    assert not errors, [error.message[:300] for error in errors]


@pytest.mark.timeout(240)
@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    # A failure is shown as it was found: making it smaller may take minutes.
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_every_answer_is_one_of_ours(case: Any) -> None:
    # Some requests name a model that there is, so that more than the refusal of names is tried.
    if isinstance(case.body, dict) and case.path in MODELS and len(str(case.body)) % 4:
        case.body["model"] = MODELS[case.path]
    headers = {"Authorization": f"Bearer {API_KEY}"}

    response = case.call(base_url=BASE_URL, headers=headers, timeout=30)

    assert response.status_code < 500, response.text
    if response.status_code == 204:
        # The answer to OPTIONS.
        assert not response.content
        return
    kind = response.headers["content-type"][0].partition(";")[0]
    if response.status_code == 200 and kind == "text/event-stream":
        check_stream(response.text)
        return
    seen = (response.request.method, response.request.url, response.status_code)
    assert kind == "application/json", (*seen, response.text[:300])
    answer = response.json()
    if response.status_code == 200:
        check_success(case.path, case.method.lower(), answer)
    else:
        assert set(answer["error"]) == {"message", "type", "param", "code"}
