"""The ASGI application: who may call what."""

from collections.abc import Awaitable, Callable

from sandbox.upstream import control, models, organisation
from sandbox.upstream.chat import create_chat_completion
from sandbox.upstream.completions import create_completion
from sandbox.upstream.connection import ClientLeft
from sandbox.upstream.embeddings import create_embeddings
from sandbox.upstream.errors import ApiError
from sandbox.upstream.exchange import Exchange, Receive, Scope, Send
from sandbox.upstream.provider import Provider
from sandbox.upstream.refusals import ERRORS, REDIRECT_PATH, incorrect_key
from sandbox.upstream.responses import create_response

API = "/v1/"
MODELS = "/v1/models"
ORGANISATION = "/v1/organization/"
GENERATE: dict[str, Callable[[Exchange, Provider], Awaitable[None]]] = {
    "/v1/chat/completions": create_chat_completion,
    "/v1/completions": create_completion,
    "/v1/embeddings": create_embeddings,
    "/v1/responses": create_response,
}


class UpstreamApp:
    """Raw ASGI, no framework: this process is also the far end of the benchmarks."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        try:
            await self._answer(exchange)
        except ApiError as error:
            await _answer_error(exchange, error)
        except ClientLeft:
            return

    async def _answer(self, exchange: Exchange) -> None:
        path = exchange.path
        if path in (organisation.CREDITS, organisation.BALANCE) or path.startswith(ORGANISATION):
            _check_method(exchange, "GET")
            self._check_admin(exchange)
            await organisation.answer(exchange, self._provider.bills)
        elif path.startswith(API):
            self._check_key(exchange)
            await self._answer_api(exchange)
        elif path == "/healthz":
            await exchange.respond_json({"status": "ok"})
        elif path == REDIRECT_PATH:
            self._provider.tally.redirects_followed += 1
            await exchange.respond_json({"redirected": True})
        else:
            await self._answer_control(exchange)

    async def _answer_api(self, exchange: Exchange) -> None:
        path = exchange.path
        if path in GENERATE:
            _check_method(exchange, "POST")
            await GENERATE[path](exchange, self._provider)
        elif path == MODELS:
            _check_method(exchange, "GET")
            await models.list_models(exchange)
        elif path.startswith(MODELS + "/"):
            _check_method(exchange, "GET")
            await models.get_model(exchange, path.removeprefix(MODELS + "/"))
        else:
            raise _unknown_url(exchange)

    async def _answer_control(self, exchange: Exchange) -> None:
        handler = control.HANDLERS.get((exchange.method, exchange.path))
        if handler is None:
            raise _unknown_url(exchange)
        await handler(exchange, self._provider)

    def _check_admin(self, exchange: Exchange) -> None:
        """Refuse whoever may not ask for the account. Raises ApiError."""
        presented = exchange.bearer()
        if fault := self._provider.fault_rules.draw(exchange.path):
            if fault.name not in ERRORS:
                raise ApiError(501, f"No fault {fault.name} at {exchange.path}.")
            raise ERRORS[fault.name](fault, self._provider)
        if self._provider.is_admin(presented):
            return
        self._check_key(exchange)
        if exchange.path != organisation.BALANCE:
            raise ApiError(
                403,
                "You have insufficient permissions for this operation. Missing scopes:"
                " api.usage.read.",
            )

    def _check_key(self, exchange: Exchange) -> None:
        presented = exchange.bearer()
        if self._provider.number_of(presented) is not None:
            return
        self._provider.tally.unauthorised += 1
        if not presented:
            raise ApiError(401, "You didn't provide an API key.")
        raise incorrect_key(presented)


def _check_method(exchange: Exchange, allowed: str) -> None:
    if exchange.method != allowed:
        raise ApiError(
            405,
            f"Not allowed to {exchange.method} on {exchange.path} (HINT: use {allowed})",
            headers=[(b"allow", allowed.encode())],
        )


def _unknown_url(exchange: Exchange) -> ApiError:
    return ApiError(404, f"Invalid URL ({exchange.method} {exchange.path})", code="unknown_url")


async def _answer_error(exchange: Exchange, error: ApiError) -> None:
    try:
        await exchange.respond(error.status, error.body(), headers=error.headers)
    except ClientLeft:
        return
