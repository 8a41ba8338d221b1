"""The endpoints of /v1/."""

from django.http import HttpResponse, HttpResponseBase
from rest_framework.request import Request

from proxy.exceptions import ModelNotFound
from proxy.http.api import ApiView, body_of, render
from proxy.parsing.chat import ChatRequest
from proxy.routing.catalogue import Model
from proxy.serving import completions
from proxy.serving.key_description import describe_key


class ChatCompletionsView(ApiView):
    """POST /v1/chat/completions"""

    places_hold = True

    async def post(self, request: Request) -> HttpResponseBase:
        """Complete a chat, whole or as a stream."""
        chat = ChatRequest.parse(body_of(request))
        return await completions.serve(self.runtime, self.connection, self.key, chat)


class ModelsView(ApiView):
    """GET /v1/models"""

    async def get(self, request: Request) -> HttpResponse:
        """List the models that this key may call."""
        models = self.runtime.catalogue.models.values()
        mine = [describe_model(model) for model in models if self.key.may_call(model.name)]
        return render({"object": "list", "data": mine})


class ModelView(ApiView):
    """GET /v1/models/{id}"""

    async def get(self, request: Request, name: str) -> HttpResponse:
        """Describe one model that this key may call."""
        if not self.key.may_call(name):
            raise ModelNotFound(name)
        return render(describe_model(await self.runtime.catalogue.get_model(name)))


class CreditsView(ApiView):
    """GET /v1/credits"""

    async def get(self, request: Request) -> HttpResponse:
        """Tell the balance: `available` is what a new hold could take now."""
        balance = self.get_standing().balance
        return render(
            {
                "available_credits": balance.available_credits,
                "held_credits": balance.held_credits,
                "posted_credits": balance.posted_credits,
                "debt_credits": balance.debt_credits,
            }
        )


class KeyView(ApiView):
    """GET /v1/key"""

    async def get(self, request: Request) -> HttpResponse:
        """Tell what this key may do, and what it has spent of its caps."""
        return render(describe_key(self.get_standing()))


def describe_model(model: Model) -> dict[str, object]:
    """Write a model as OpenAI does."""
    return {
        "id": model.name,
        "object": "model",
        "created": model.created_at_s,
        "owned_by": model.owned_by,
    }
