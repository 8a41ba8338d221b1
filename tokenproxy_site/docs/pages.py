"""The pages of the documentation, in the order in which they are read."""

import re
from dataclasses import dataclass

from django.conf import settings
from django.template import Context, Engine
from django.urls import reverse
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_noop as _

from accounts.models import Role
from accounts.teams.roles import described_roles
from billing.notices.webhooks.kinds import CHOICES
from common.markdown import Shown, show

_LINK = re.compile(r"\]\(/")
# A name and a title stand after the language, for our own pages.
_FENCE = re.compile(r"^```(\w+) .*$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One page: templates/docs/pages/{language}/{slug}.md, under its title.

    Title, group and what it is about are English here, and read in the reader's language.
    """

    slug: str
    name: str
    about: str
    part: str
    # Under which names the documentation's only page of former days had this.
    anchors: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What it is called."""
        return gettext(self.name)

    @property
    def group(self) -> str:
        """Which part of the documentation it belongs to."""
        return gettext(self.part)

    @property
    def summary(self) -> str:
        """What it is about, in one sentence."""
        return gettext(self.about).format(site_name=settings.SITE_NAME)

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
        source = Engine.get_default().get_template(f"docs/pages/{get_language()}/{self.slug}.md")
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


START, CALLING, ENDPOINTS = _("Get started"), _("Calling the API"), _("Endpoints")
MONEY, TOGETHER = _("Charging"), _("Together")

PAGES = (
    Page("index", _("API documentation"), _("Get started with {site_name} API in minutes."), START),
    Page(
        "quick-start",
        _("Quick start"),
        _("From nothing to the first receipt, in four steps."),
        START,
    ),
    Page(
        "authentication",
        _("Authentication"),
        _("How a request says whose balance it spends."),
        START,
    ),
    Page(
        "recipes",
        _("Recipes"),
        _("SDKs, frameworks, command-line tools and editors, and what to set in each."),
        START,
        ("openai-sdk", "examples"),
    ),
    Page(
        "streaming",
        _("Streaming"),
        _("An answer in pieces, while it is written."),
        CALLING,
        ("streaming",),
    ),
    Page(
        "errors",
        _("Errors"),
        _("Every status and code, and what to do about it."),
        CALLING,
        ("errors",),
    ),
    Page(
        "limits",
        _("Rate limits"),
        _("How much at once, and how you see it."),
        CALLING,
        ("rate-limits",),
    ),
    Page(
        "idempotency",
        _("Idempotency"),
        _("How a retry is not paid twice."),
        CALLING,
        ("retries",),
    ),
    Page(
        "headers", _("Headers"), _("What an answer tells beside its body."), CALLING, ("headers",)
    ),
    Page(
        "fields",
        _("Fields of a request"),
        _("Which fields are changed, left out or refused, and why."),
        CALLING,
        ("fields",),
    ),
    Page(
        "chat-completions",
        _("Chat completions"),
        _("Ask a model in a conversation."),
        ENDPOINTS,
        ("chat-completions",),
    ),
    Page("responses", _("Responses"), _("OpenAI's newer endpoint, without its memory."), ENDPOINTS),
    Page(
        "completions",
        _("Completions"),
        _("The older text endpoint."),
        ENDPOINTS,
        ("other-endpoints",),
    ),
    Page("embeddings", _("Embeddings"), _("Texts as numbers that can be compared."), ENDPOINTS),
    Page(
        "models",
        _("Models"),
        _("Which models your key may call, and their facts."),
        ENDPOINTS,
        ("models",),
    ),
    Page("balance", _("Balance"), _("What is left to spend."), ENDPOINTS, ("balance",)),
    Page(
        "key", _("Your key"), _("What the key may do, and what it has spent."), ENDPOINTS, ("key",)
    ),
    Page(
        "receipts",
        _("Receipts and estimates"),
        _("What a request cost, and what one would cost."),
        ENDPOINTS,
        ("receipts",),
    ),
    Page("checkout", _("Buying more"), _("A link to pay, made by a program."), ENDPOINTS),
    Page(
        "not-offered",
        _("What is not offered"),
        _("Paths of other APIs that are not here."),
        ENDPOINTS,
        ("not-offered",),
    ),
    Page(
        "charging",
        _("How you are charged"),
        _("Hold, answer, settle: what each request costs."),
        MONEY,
        ("charging",),
    ),
    Page(
        "endings",
        _("How every ending is settled"),
        _("What you pay when an answer is whole, broken off, or was never seen."),
        MONEY,
        ("endings",),
    ),
    Page(
        "payments", _("Payments"), _("Paying for packs, and what can happen."), MONEY, ("payments",)
    ),
    Page(
        "refunds",
        _("Refunds and disputes"),
        _("Money that goes back, and credits that are owed."),
        MONEY,
        ("refunds",),
    ),
    Page("teams", _("Teams"), _("Several people on one balance."), TOGETHER, ("teams",)),
    Page(
        "webhooks",
        _("Webhooks"),
        _("What happens on your balance, sent to a program or a Slack channel."),
        TOGETHER,
    ),
)
FIRST = PAGES[0]
BY_SLUG = {page.slug: page for page in PAGES}
