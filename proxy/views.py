"""The endpoints of /v1/."""

from django.http import HttpResponse, HttpResponseBase
from rest_framework.request import Request

from billing.exceptions import WalletMissing
from billing.services.wallets import push_wallet
from billing.wallet.client import Balance
from proxy import checkouts, openapi, receipts
from proxy.database import in_database
from proxy.http.api import ApiView, body_of, render
from proxy.openapi import CALL_ERRORS, endpoint, openai_answer, openai_body
from proxy.parsing.chat import ChatRequest
from proxy.routing.catalogue import Model
from proxy.serving import completions


class ChatCompletionsView(ApiView):
    """POST /v1/chat/completions"""

    @endpoint(
        "Complete a chat",
        name="createChatCompletion",
        tag="OpenAI",
        body=openai_body(
            model={"type": "string"},
            messages={"type": "array", "items": {"type": "object"}, "minItems": 1},
            max_tokens={"type": "integer", "minimum": 1, "optional": True},
            temperature={"type": "number", "minimum": 0, "maximum": 2, "optional": True},
            stream={"type": "boolean", "optional": True},
        ),
        answers=openai_answer(is_streamed=True),
        errors=CALL_ERRORS,
    )
    async def post(self, request: Request) -> HttpResponseBase:
        """Complete a chat, whole or as a stream."""
        chat = ChatRequest.parse(body_of(request))
        return await completions.serve(self.runtime, self.connection, self.key, chat)


class ModelsView(ApiView):
    """GET /v1/models"""

    @endpoint("List models", name="listModels", tag="OpenAI", answers=openapi.Models)
    async def get(self, request: Request) -> HttpResponse:
        """List the models that can be called."""
        models = self.runtime.catalogue.models.values()
        return render({"object": "list", "data": [describe_model(model) for model in models]})


class ModelView(ApiView):
    """GET /v1/models/{id}"""

    @endpoint(
        "Describe a model",
        name="retrieveModel",
        tag="OpenAI",
        answers=openapi.Model,
        errors={404: "No such model."},
    )
    async def get(self, request: Request, name: str) -> HttpResponse:
        """Describe one model."""
        return render(describe_model(await self.runtime.catalogue.get_model(name)))


class ReceiptView(ApiView):
    """GET /v1/usage/{request_id}"""

    @endpoint(
        "Read a receipt",
        name="retrieveUsage",
        tag="Balance",
        answers=openapi.Receipt,
        errors={404: "This key has no receipt for that request."},
    )
    async def get(self, request: Request, request_id: str) -> HttpResponse:
        """Explain what a request was charged."""
        return render(await receipts.get_receipt(self.runtime.wallet, self.key, request_id))


class CheckoutView(ApiView):
    """POST /v1/checkout"""

    @endpoint(
        "Order a pack",
        name="createCheckout",
        tag="Balance",
        body=openapi.CheckoutOrder,
        answers=openapi.Checkout,
        errors={
            400: "The body does not name a pack.",
            404: "No such pack.",
            429: "Too many unpaid orders.",
        },
    )
    async def post(self, request: Request) -> HttpResponse:
        """Order a pack for the key's owner, and return where to pay it."""
        return render(await checkouts.open_checkout(self.key, body_of(request)))


class CreditsView(ApiView):
    """GET /v1/credits"""

    @endpoint("Read the balance", name="retrieveCredits", tag="Balance", answers=openapi.Credits)
    async def get(self, request: Request) -> HttpResponse:
        """Tell the balance: `available` is what a new hold could take now."""
        balance = await self._read_balance()
        return render(
            {
                "available_credits": balance.available_credits,
                "held_credits": balance.held_credits,
                "posted_credits": balance.posted_credits,
                "debt_credits": balance.debt_credits,
            }
        )

    async def _read_balance(self) -> Balance:
        wallet_id = self.key.wallet_id
        try:
            return await self.runtime.wallet.read_balance(wallet_id)
        except WalletMissing:
            await in_database(push_wallet, wallet_id)
            return await self.runtime.wallet.read_balance(wallet_id)


def describe_model(model: Model) -> dict[str, object]:
    """Write a model as OpenAI does."""
    return {
        "id": model.name,
        "object": "model",
        "created": model.created_at_s,
        "owned_by": model.owned_by,
    }
