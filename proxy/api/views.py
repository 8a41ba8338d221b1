"""The endpoints of /v1/."""

from typing import ClassVar

from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from proxy.api import checkouts, estimates, receipts, schema
from proxy.api.authentication import FromAllowedNetwork
from proxy.api.dispatch import ApiView
from proxy.api.key_description import describe_key, describe_team
from proxy.api.model_description import describe_model
from proxy.api.schema import TEXT_OR_NUMBERS, described, openai_endpoint
from proxy.errors import ModelNotFound
from proxy.http.client_address import client_address
from proxy.parsing.request import ModelRequest
from proxy.serving import endpoints
from proxy.serving.replay.retries import Repeat
from proxy.serving.serve import serve
from proxy.serving.standing import count_request


class ModelRequestView(ApiView):
    """What all endpoints share that call a model."""

    endpoint: ClassVar[endpoints.Endpoint]

    # Whether the request was counted before its body was read.
    is_precounted = False
    # Enough, because the hold is refused if the key was changed meanwhile.
    permission_classes = (FromAllowedNetwork,)

    async def post(self, request: Request) -> HttpResponseBase:
        """Have a model answer, whole or as a stream."""
        self.runtime.throttle.check(self.key)
        repeat = Repeat.read(self.connection.header)
        asked: ModelRequest = await self.read_as(self.endpoint.request.parse)
        return await serve(
            self.runtime,
            self.connection,
            self.key,
            asked,
            endpoint=self.endpoint,
            repeat=repeat,
            body=self.body,
            is_precounted=self.is_precounted,
            on_admitted=self.release_body,
        )

    async def count_request(self) -> None:
        """Take one of the key's requests per minute before the body is read. Raises RateLimited."""
        if not self.is_precounted:
            self.request.auth = await count_request(self.runtime, self.connection, self.key)
            self.is_precounted = True

    def note_refusal(self, status: int) -> None:
        """Watch a key whose request was refused: the refusal took none of its requests."""
        if 400 <= status < 500:
            self.runtime.throttle.watch(self.key)


@openai_endpoint(
    "Complete a chat",
    name="createChatCompletion",
    messages={"type": "array", "items": {"type": "object"}, "minItems": 1},
    max_tokens={"type": "integer", "minimum": 1, "optional": True},
    temperature={"type": "number", "minimum": 0, "maximum": 2, "optional": True},
    stream={"type": "boolean", "optional": True},
)
class ChatCompletionsView(ModelRequestView):
    """POST /v1/chat/completions"""

    endpoint = endpoints.CHAT


@openai_endpoint(
    "Complete a text",
    name="createCompletion",
    prompt=TEXT_OR_NUMBERS,
    max_tokens={"type": "integer", "minimum": 0, "optional": True},
    temperature={"type": "number", "minimum": 0, "maximum": 2, "optional": True},
    stream={"type": "boolean", "optional": True},
)
class CompletionsView(ModelRequestView):
    """POST /v1/completions"""

    endpoint = endpoints.COMPLETIONS


@openai_endpoint(
    "Embed texts",
    name="createEmbedding",
    is_streamed=False,
    input=TEXT_OR_NUMBERS,
    encoding_format={"enum": ["float", "base64"], "optional": True},
    dimensions={"type": "integer", "minimum": 1, "optional": True},
)
class EmbeddingsView(ModelRequestView):
    """POST /v1/embeddings"""

    endpoint = endpoints.EMBEDDINGS


@openai_endpoint(
    "Create a response",
    name="createResponse",
    input={"type": ["string", "array"]},
    max_output_tokens={"type": "integer", "minimum": 1, "optional": True},
    temperature={"type": "number", "minimum": 0, "maximum": 2, "optional": True},
    stream={"type": "boolean", "optional": True},
)
class ResponsesView(ModelRequestView):
    """POST /v1/responses"""

    endpoint = endpoints.RESPONSES


class ModelsView(ApiView):
    """GET /v1/models"""

    @described("List models", name="listModels", tag="OpenAI", answers=schema.Models)
    async def get(self, request: Request) -> Response:
        """List the models that this key may call."""
        models = self.runtime.catalogue.models.values()
        mine = [describe_model(model) for model in models if self.key.may_call(model.name)]
        return Response({"object": "list", "data": mine})


class ModelView(ApiView):
    """GET /v1/models/{id}"""

    @described(
        "Describe a model",
        name="retrieveModel",
        tag="OpenAI",
        answers=schema.Model,
        errors={404: "No such model."},
    )
    async def get(self, request: Request, name: str) -> Response:
        """Describe one model that this key may call."""
        if not self.key.may_call(name):
            raise ModelNotFound(name)
        return Response(describe_model(await self.runtime.catalogue.get_model(name)))


class ReceiptView(ApiView):
    """GET /v1/usage/{request_id}"""

    @described(
        "Read a receipt",
        name="retrieveUsage",
        tag="Balance",
        answers=schema.Receipt,
        errors={404: "This key has no receipt for that request."},
    )
    async def get(self, request: Request, request_id: str) -> Response:
        """Explain what a request was charged."""
        return Response(await receipts.get_receipt(self.runtime.wallet, self.key, request_id))


class EstimateView(ApiView):
    """POST /v1/estimate"""

    @described(
        "Estimate a request",
        name="createEstimate",
        tag="Balance",
        body=schema.openai_body(
            model={"type": "string"},
            endpoint={"enum": sorted(estimates.BY_NAME), "optional": True},
        ),
        answers=schema.Estimate,
        errors={400: "The request would be refused.", 404: "No such model, or not for this key."},
    )
    async def post(self, request: Request) -> Response:
        """Tell what a request would cost at most, without sending it."""
        return Response(
            await estimates.estimate(
                self.runtime, self.connection, self.get_standing(), await self.read_json()
            )
        )


class InputTokensView(ApiView):
    """POST /v1/responses/input_tokens"""

    @described(
        "Count the input of a response",
        name="countInputTokens",
        tag="OpenAI",
        body=schema.openai_body(model={"type": "string"}, input={"type": ["string", "array"]}),
        answers=schema.InputTokens,
        errors={400: "The response would be refused.", 404: "No such model, or not for this key."},
    )
    async def post(self, request: Request) -> Response:
        """Count what a response would read, without sending it. Charges nothing."""
        body = await self.read_json()
        return Response(await estimates.count_input(self.runtime, self.connection, self.key, body))


class CheckoutView(ApiView):
    """POST /v1/checkout"""

    @described(
        "Order a pack",
        name="createCheckout",
        tag="Balance",
        body=schema.CheckoutOrder,
        answers=schema.Checkout,
        errors={
            400: "The body does not name a pack.",
            403: "The key's maker may not buy for its team.",
            404: "No such pack.",
            429: "Too many unpaid orders, or too fast.",
        },
    )
    async def post(self, request: Request) -> Response:
        """Order a pack for the key's owner, and return where to pay it."""
        address = client_address(self.connection.scope)
        body = await self.read_json()
        return Response(await checkouts.open_checkout(self.key, body, address=str(address or "")))


class CreditsView(ApiView):
    """GET /v1/credits"""

    @described("Read the balance", name="retrieveCredits", tag="Balance", answers=schema.Credits)
    async def get(self, request: Request) -> Response:
        """Tell the balance: `available` is what a new hold could take now."""
        balance = self.get_standing().balance
        return Response(
            {
                "available_credits": balance.available_credits,
                "held_credits": balance.held_credits,
                "posted_credits": balance.posted_credits,
                "debt_credits": balance.debt_credits,
                "team": describe_team(self.key.about),
            }
        )


class KeyView(ApiView):
    """GET /v1/key"""

    @described("Describe the key", name="retrieveKey", tag="Balance", answers=schema.Key)
    async def get(self, request: Request) -> Response:
        """Tell what this key may do, and what it has spent of its caps."""
        return Response(describe_key(self.get_standing()))
