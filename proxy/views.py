"""The endpoints of /v1/."""

from typing import ClassVar

from django.http import HttpResponse, HttpResponseBase
from rest_framework.request import Request

from billing.exceptions import WalletMissing
from billing.services.wallets import push_wallet
from billing.wallet.client import Balance
from proxy.database import in_database
from proxy.http.api import ApiView, body_of, render
from proxy.routing.catalogue import Model
from proxy.serving import endpoints, retries


class ModelRequestView(ApiView):
    """What all endpoints share that call a model."""

    endpoint: ClassVar[endpoints.Endpoint]

    async def post(self, request: Request) -> HttpResponseBase:
        """Have a model answer, whole or as a stream."""
        asked = self.endpoint.request.parse(body_of(request))
        return await retries.serve(
            self.runtime,
            self.connection,
            self.key,
            asked,
            endpoint=self.endpoint,
            repeat=retries.Repeat.read(request.META),
            body=request.body,
        )


class ChatCompletionsView(ModelRequestView):
    """POST /v1/chat/completions"""

    endpoint = endpoints.CHAT


class CompletionsView(ModelRequestView):
    """POST /v1/completions"""

    endpoint = endpoints.COMPLETIONS


class EmbeddingsView(ModelRequestView):
    """POST /v1/embeddings"""

    endpoint = endpoints.EMBEDDINGS


class ResponsesView(ModelRequestView):
    """POST /v1/responses"""

    endpoint = endpoints.RESPONSES


class ModelsView(ApiView):
    """GET /v1/models"""

    async def get(self, request: Request) -> HttpResponse:
        """List the models that can be called."""
        models = self.runtime.catalogue.models.values()
        return render({"object": "list", "data": [describe_model(model) for model in models]})


class ModelView(ApiView):
    """GET /v1/models/{id}"""

    async def get(self, request: Request, name: str) -> HttpResponse:
        """Describe one model."""
        return render(describe_model(await self.runtime.catalogue.get_model(name)))


class CreditsView(ApiView):
    """GET /v1/credits"""

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
