"""The pages of the documentation, in the order in which they are read."""

import re
from dataclasses import dataclass

from django.conf import settings
from django.template import Context, Engine
from django.urls import reverse
from django.utils import translation

from accounts.models import Role
from accounts.teams.roles import described_roles
from billing.notices.webhooks.kinds import CHOICES
from common.markdown import Shown, show

_LINK = re.compile(r"\]\(/")
# A name and a title stand after the language, for our own pages.
_FENCE = re.compile(r"^```(\w+) .*$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One page: templates/docs/pages/{slug}.md, under its title."""

    slug: str
    title: str
    about: str
    group: str
    # Under which names the documentation's only page of former days had this.
    anchors: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What it is about, in one sentence."""
        return self.about.format(site_name=settings.SITE_NAME)

    @property
    def path(self) -> str:
        """Where it is read."""
        return reverse("docs") if self is FIRST else reverse("docs-page", args=[self.slug])

    @property
    def markdown_path(self) -> str:
        """Where programs read it."""
        return reverse("docs-markdown", args=[self.slug])

    def write(self) -> str:
        """Return its text in Markdown, with this site's own address and limits."""
        source = Engine.get_default().get_template(f"docs/pages/{self.slug}.md")
        # It is written in English, and so are its figures.
        with translation.override("en"):
            return source.render(Context(_facts(), autoescape=False)).strip() + "\n"

    def write_whole(self) -> str:
        """Return it with its title, and links that lead here from anywhere."""
        text = _LINK.sub(f"]({settings.SITE_URL}/", self.write())
        text = _FENCE.sub(r"```\1", text)
        return f"# {self.title}\n\n{self.summary}\n\n{text}"

    def show(self) -> Shown:
        """Return its text as HTML."""
        return show(self.write())


def _facts() -> dict[str, object]:
    return {
        "site_name": settings.SITE_NAME,
        "api_base_url": f"{settings.SITE_URL}/v1",
        "support_email": settings.SUPPORT_EMAIL,
        "role_words": described_roles(Role),
        "webhook_kinds": CHOICES,
        "requests_per_minute": settings.DEFAULT_REQUESTS_PER_MINUTE,
        "grace_s": settings.CLIENT_LEFT_GRACE_S,
        "reasoning_s": settings.REASONING_DRAIN_S,
        "slow_reader_s": settings.SLOW_READER_S,
        "idempotency_minutes": settings.IDEMPOTENCY_KEEP_S // 60,
        "idempotency_kilobytes": settings.IDEMPOTENCY_MAX_BYTES // 1024,
    }


START, CALLING, ENDPOINTS = "Get started", "Calling the API", "Endpoints"
MONEY, TOGETHER = "Charging", "Together"

PAGES = (
    Page("index", "API documentation", "Get started with {site_name} API in minutes.", START),
    Page("quick-start", "Quick start", "From nothing to the first receipt, in four steps.", START),
    Page("authentication", "Authentication", "How a request says whose balance it spends.", START),
    Page(
        "recipes",
        "Recipes",
        "SDKs, frameworks, command-line tools and editors, and what to set in each.",
        START,
        ("openai-sdk", "examples"),
    ),
    Page(
        "streaming",
        "Streaming",
        "An answer in pieces, while it is written.",
        CALLING,
        ("streaming",),
    ),
    Page(
        "errors", "Errors", "Every status and code, and what to do about it.", CALLING, ("errors",)
    ),
    Page(
        "limits", "Rate limits", "How much at once, and how you see it.", CALLING, ("rate-limits",)
    ),
    Page(
        "idempotency",
        "Idempotency",
        "How a retry is not paid twice.",
        CALLING,
        ("retries",),
    ),
    Page("headers", "Headers", "What an answer tells beside its body.", CALLING, ("headers",)),
    Page(
        "fields",
        "Fields of a request",
        "Which fields are changed, left out or refused, and why.",
        CALLING,
        ("fields",),
    ),
    Page(
        "chat-completions",
        "Chat completions",
        "Ask a model in a conversation.",
        ENDPOINTS,
        ("chat-completions",),
    ),
    Page("responses", "Responses", "OpenAI's newer endpoint, without its memory.", ENDPOINTS),
    Page(
        "completions",
        "Completions",
        "The older text endpoint.",
        ENDPOINTS,
        ("other-endpoints",),
    ),
    Page("embeddings", "Embeddings", "Texts as numbers that can be compared.", ENDPOINTS),
    Page(
        "models",
        "Models",
        "Which models your key may call, and their facts.",
        ENDPOINTS,
        ("models",),
    ),
    Page("balance", "Balance", "What is left to spend.", ENDPOINTS, ("balance",)),
    Page("key", "Your key", "What the key may do, and what it has spent.", ENDPOINTS, ("key",)),
    Page(
        "receipts",
        "Receipts and estimates",
        "What a request cost, and what one would cost.",
        ENDPOINTS,
        ("receipts",),
    ),
    Page("checkout", "Buying more", "A link to pay, made by a program.", ENDPOINTS),
    Page(
        "not-offered",
        "What is not offered",
        "Paths of other APIs that are not here.",
        ENDPOINTS,
        ("not-offered",),
    ),
    Page(
        "charging",
        "How you are charged",
        "Hold, answer, settle: what each request costs.",
        MONEY,
        ("charging",),
    ),
    Page(
        "endings",
        "How every ending is settled",
        "What you pay when an answer is whole, broken off, or was never seen.",
        MONEY,
        ("endings",),
    ),
    Page("payments", "Payments", "Paying for packs, and what can happen.", MONEY, ("payments",)),
    Page(
        "refunds",
        "Refunds and disputes",
        "Money that goes back, and credits that are owed.",
        MONEY,
        ("refunds",),
    ),
    Page("teams", "Teams", "Several people on one balance.", TOGETHER, ("teams",)),
    Page(
        "webhooks",
        "Webhooks",
        "What happens on your balance, sent to a program or a Slack channel.",
        TOGETHER,
    ),
)
FIRST = PAGES[0]
BY_SLUG = {page.slug: page for page in PAGES}
