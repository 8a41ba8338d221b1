"""What the handler of /v1/ remembers from one request to the next."""

from typing import Any

from proxy.api.handler import ApiHandler
from proxy.serving.runtime import Runtime
from tests.linked import linked


async def answer(handler: ApiHandler, path: str) -> int:
    """Send a request without a key, and return the status."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    await linked(handler)(scope, receive, send)
    return int(sent[0]["status"])


async def test_it_remembers_the_view_of_a_path_only_if_no_client_chooses_the_path(
    runtime: Runtime,
) -> None:
    handler = ApiHandler(lambda: runtime)
    paths = ["/v1/key", "/v1/models/one", "/v1/usage/req_1", "/v1/nothing", "/v1/key"]

    statuses = [await answer(handler, path) for path in paths]

    assert statuses == [401, 401, 401, 404, 401]
    assert list(handler._known) == ["/v1/key"]
