"""The OpenAPI schema of our own endpoints, at /api/schema/.

OpenAI's specification is not copied here: bodies of its endpoints name the fields that we require
and price, and allow others. Serializers only describe; the parsers check requests.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework import serializers

from billing.token_classes import COUNTS
from proxy.api.schema_headers import (
    BODY_ERRORS,
    CALL_ERRORS,
    COMMON_ERRORS,
    OF_CALLING_A_MODEL,
    OF_EVERY_ANSWER,
    OF_READING,
)

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)
Schema = dict[str, Any]

STREAM = "text/event-stream"
OPENAI = "As OpenAI's specification has it; what we read of it is listed, the rest passes through."


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """An API key in the Authorization header."""

    target_class = "proxy.api.authentication.KeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> Schema:
        """Return the scheme."""
        return {"type": "http", "scheme": "bearer", "description": "Your API key."}


class Allowance(serializers.Serializer[Any]):
    """What may happen at once and in a minute."""

    requests_per_minute = serializers.IntegerField()
    tokens_per_minute = serializers.IntegerField()
    concurrent_requests = serializers.IntegerField()


class Cap(serializers.Serializer[Any]):
    """A cap and what is used of it; what open requests hold counts. Null is no cap."""

    cap_credits = serializers.IntegerField(allow_null=True)
    used_credits = serializers.IntegerField(min_value=0)
    held_credits = serializers.IntegerField(min_value=0)
    remaining_credits = serializers.IntegerField(allow_null=True)


class MonthlyCap(Cap):
    """The same for the present month, UTC."""

    resets_at = serializers.DateTimeField()


class Spending(serializers.Serializer[Any]):
    """What the key has spent, or all keys of the member who made it."""

    lifetime = Cap()
    monthly = MonthlyCap()


class Rotation(serializers.Serializer[Any]):
    """A rotation under way, in which both secrets work."""

    old_hint = serializers.CharField()
    old_secret_ends_at = serializers.DateTimeField()
    is_old_secret = serializers.BooleanField()


class Team(serializers.Serializer[Any]):
    """The team that a key belongs to, and whose credits it spends."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class Key(serializers.Serializer[Any]):
    """The key of the request: what it may do. Null is everything."""

    object = serializers.ChoiceField(["key"])
    team = Team()
    name = serializers.CharField()
    hint = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    limits = Allowance()
    account_limits = Allowance()
    open_requests = serializers.IntegerField(min_value=0)
    spending = Spending()
    # Null: the member has no cap.
    member_spending = Spending(allow_null=True)
    allowed_models = serializers.ListField(child=serializers.CharField(), allow_null=True)
    allowed_networks = serializers.ListField(child=serializers.CharField(), allow_null=True)
    rotation = Rotation(allow_null=True)


class ErrorBody(serializers.Serializer[Any]):
    """What went wrong; all four are always there."""

    message = serializers.CharField()
    type = serializers.CharField()
    param = serializers.CharField(allow_null=True)
    code = serializers.CharField(allow_null=True)


class Error(serializers.Serializer[Any]):
    """OpenAI's error envelope."""

    error = ErrorBody()


class Credits(serializers.Serializer[Any]):
    """A balance in credits. `available` is what a new request could hold now."""

    available_credits = serializers.IntegerField(min_value=0)
    held_credits = serializers.IntegerField(min_value=0)
    posted_credits = serializers.IntegerField(min_value=0)
    debt_credits = serializers.IntegerField(min_value=0)
    team = Team()


class Pricing(serializers.Serializer[Any]):
    """US dollars for one token of a class, as text."""

    prompt = serializers.CharField()
    completion = serializers.CharField()
    input_cache_read = serializers.CharField()
    input_cache_write = serializers.CharField()
    internal_reasoning = serializers.CharField()


class PlannedPrice(serializers.Serializer[Any]):
    """What a million tokens take, by class, of requests that are admitted from an instant on."""

    starts_at = serializers.DateTimeField()
    credits_per_million_tokens = serializers.DictField(child=serializers.IntegerField(min_value=0))


class CreditPrices(serializers.Serializer[Any]):
    """What it can do, as far as that is known, and credits for a million tokens, by class; now, and
    what is planned, the next change first.
    """

    abilities = serializers.ListField(child=serializers.CharField())
    credits_per_million_tokens = serializers.DictField(child=serializers.IntegerField(min_value=0))
    planned_prices = PlannedPrice(many=True)


class Architecture(serializers.Serializer[Any]):
    """What a model reads and writes, such as text and image."""

    modality = serializers.CharField()
    input_modalities = serializers.ListField(child=serializers.CharField())
    output_modalities = serializers.ListField(child=serializers.CharField())


class TopProvider(serializers.Serializer[Any]):
    """The same length once more, where clients of OpenRouter's look for it."""

    context_length = serializers.IntegerField(min_value=1, allow_null=True)


class Model(serializers.Serializer[Any]):
    """A model that this key may call.

    `context_length` is the most tokens that it reads, its answer included; null if we don't know.
    `supported_parameters` are the fields of a chat that reach it. `pricing` is in US dollars for
    one token, as text, at the dearest dollar pack on sale; absent without one. What a token really
    takes is in credits, under `tokenproxy`. The defaults are what is sent where a request names
    none; a null is left to the model.
    """

    id = serializers.CharField()
    object = serializers.ChoiceField(["model"])
    created = serializers.IntegerField()
    owned_by = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    context_length = serializers.IntegerField(min_value=1, allow_null=True)
    architecture = Architecture()
    top_provider = TopProvider()
    supported_parameters = serializers.ListField(child=serializers.CharField())
    pricing = Pricing(required=False)
    tokenproxy = CreditPrices()
    default_max_tokens = serializers.IntegerField(min_value=1)
    default_temperature = serializers.FloatField(allow_null=True)


class Models(serializers.Serializer[Any]):
    """All of them."""

    object = serializers.ChoiceField(["list"])
    data = Model(many=True)  # type: ignore[assignment]  # it is a field


class InputTokens(serializers.Serializer[Any]):
    """How many tokens a response would read, by our count."""

    object = serializers.ChoiceField(["response.input_tokens"])
    input_tokens = serializers.IntegerField(min_value=0)


class Estimate(serializers.Serializer[Any]):
    """A request's worst case. Token counts are of the whole request, `max_tokens` of each answer.

    `prompt_tokens` is counted; `most_prompt_tokens` is what a hold takes for the prompt, which no
    count exceeds. `beside_max_tokens` may be billed as written beside each `max_tokens`: what does
    not come true of a prediction, and reasoning that the provider counts apart.

    `affordable_max_tokens` is how long an answer the balance and the limits allow now; null if the
    request would be refused, and then `refusal` is the error that it would be answered with.
    """

    object = serializers.ChoiceField(["estimate"])
    endpoint = serializers.CharField()
    model = serializers.CharField()
    price_version = serializers.IntegerField()
    rates_millicredits = serializers.DictField(child=serializers.IntegerField(min_value=0))
    prompt_tokens = serializers.IntegerField(min_value=0)
    most_prompt_tokens = serializers.IntegerField(min_value=0)
    max_tokens = serializers.IntegerField(min_value=0)
    beside_max_tokens = serializers.IntegerField(min_value=0)
    answers = serializers.IntegerField(min_value=0)
    most_credits = serializers.IntegerField(min_value=0)
    available_credits = serializers.IntegerField(min_value=0)
    affordable_max_tokens = serializers.IntegerField(allow_null=True)
    is_affordable = serializers.BooleanField()
    refusal = ErrorBody(allow_null=True)


class CheckoutOrder(serializers.Serializer[Any]):
    """A pack to order, by its slug."""

    pack = serializers.SlugField(max_length=50)


class Checkout(serializers.Serializer[Any]):
    """An order, and where its owner pays it."""

    id = serializers.UUIDField()
    object = serializers.ChoiceField(["checkout"])
    url = serializers.URLField()
    pack = serializers.CharField()
    credits = serializers.IntegerField(min_value=1)
    bonus_credits = serializers.IntegerField(min_value=0)
    amount_cents = serializers.IntegerField(min_value=1)
    currency = serializers.CharField()
    expires_at = serializers.DateTimeField()


ReceiptUsage: type[serializers.Serializer[Any]] = type(
    "ReceiptUsage",
    (serializers.Serializer,),
    {
        "__doc__": "Tokens by class; each class is a part of the prompt or of the completion.",
        **{name: serializers.IntegerField(min_value=0) for name in (*COUNTS, "total_tokens")},
    },
)


# `class` can't be an attribute's name, but is a field of the answer.
ReceiptLine: type[serializers.Serializer[Any]] = type(
    "ReceiptLine",
    (serializers.Serializer,),
    {
        "__doc__": "One class of tokens at its rate; a token is counted in one line.",
        "class": serializers.CharField(),
        "tokens": serializers.IntegerField(min_value=0),
        "rate_millicredits": serializers.IntegerField(min_value=0),
        "amount_millicredits": serializers.IntegerField(min_value=0),
    },
)


class Receipt(serializers.Serializer[Any]):
    """What a request was charged and why. What only the books know is there once `booked`."""

    id = serializers.CharField()
    object = serializers.ChoiceField(["usage"])
    status = serializers.ChoiceField(["running", "settled", "booked"])
    model = serializers.CharField()
    endpoint = serializers.CharField()
    stream = serializers.BooleanField()
    held_credits = serializers.IntegerField(min_value=0)
    charged_credits = serializers.IntegerField(min_value=0)
    started_at = serializers.DateTimeField()
    outcome = serializers.CharField(required=False)
    counted_by = serializers.ChoiceField(["reported", "estimated", "parked"], required=False)
    attempts = serializers.IntegerField(required=False)
    usage = ReceiptUsage(required=False)
    price_version = serializers.IntegerField(required=False)
    lines = ReceiptLine(many=True, required=False)
    sum_millicredits = serializers.IntegerField(required=False)
    released_credits = serializers.IntegerField(required=False)
    written_off_credits = serializers.IntegerField(required=False)
    waived_credits = serializers.IntegerField(required=False)
    ended_at = serializers.DateTimeField(required=False)
    first_byte_ms = serializers.IntegerField(required=False, allow_null=True)


def described(
    summary: str,
    *,
    name: str,
    tag: str,
    answers: Any,
    body: Any = None,
    errors: Mapping[int, str] | None = None,
    headers: Sequence[OpenApiParameter] = OF_READING,
) -> Callable[[F], F]:
    """Describe a view's method. Every endpoint may also answer 401, 429 and 503."""
    of_body = BODY_ERRORS if body is not None else {}
    refusals = {**COMMON_ERRORS, **of_body, **(errors or {})}
    decorate: Callable[[F], F] = extend_schema(
        summary=summary,
        operation_id=name,
        tags=[tag],
        parameters=[*OF_EVERY_ANSWER, *headers],
        request={"application/json": body} if body is not None else None,
        responses={
            **(answers if isinstance(answers, dict) else {200: answers}),
            **{status: OpenApiResponse(Error, text) for status, text in refusals.items()},
        },
    )
    return decorate


def openai_endpoint(
    summary: str, *, name: str, is_streamed: bool = True, **properties: Schema
) -> Callable[[C], C]:
    """Describe the view of an OpenAI endpoint by the fields that we read of its body."""
    post = described(
        summary,
        name=name,
        tag="OpenAI",
        body=openai_body(model={"type": "string"}, **properties),
        answers=openai_answer(is_streamed=is_streamed),
        errors=CALL_ERRORS,
        headers=OF_CALLING_A_MODEL,
    )
    decorate: Callable[[C], C] = extend_schema_view(post=post)
    return decorate


def openai_body(**properties: Schema) -> Schema:
    """Return an OpenAI request body. Its properties are required unless they say `optional`."""
    required = [name for name, schema in properties.items() if not schema.pop("optional", False)]
    return {
        "type": "object",
        "description": OPENAI,
        "required": required,
        "properties": properties,
        "additionalProperties": True,
    }


def openai_answer(*, is_streamed: bool) -> dict[Any, Any]:
    """Return the answers of an OpenAI endpoint."""
    answer: Schema = {"type": "object", "description": OPENAI, "additionalProperties": True}
    answers: dict[Any, Any] = {(200, "application/json"): answer}
    if is_streamed:
        answers[(200, STREAM)] = {"type": "string", "description": "Events, if you ask to stream."}
    return answers


# A text or a list of texts, or the same as token numbers.
TEXT_OR_NUMBERS: Schema = {"oneOf": [{"type": "string"}, {"type": "array", "minItems": 1}]}
