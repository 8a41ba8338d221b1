"""The process: SMTP beside the page that shows what came."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route

from sandbox.mail.mailbox import Mail, Mailbox
from sandbox.mail.pages import Markup, join, page, render, stylesheet
from sandbox.mail.smtp import make_protocol

LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)]")
# The mail's own HTML can run nothing, load nothing and reach nothing.
MAIL_CSP = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # noqa: E501 - one header


@dataclass(frozen=True, slots=True)
class Pages:
    """What a browser, or a program, sees of a mailbox."""

    mailbox: Mailbox
    smtp_port: int

    async def listing(self, _: Request) -> Response:
        rows = join([_row(mail) for mail in self.mailbox.read_all()])
        if not rows:
            return page("Mailbox", render("empty.html", smtp_port=self.smtp_port))
        return page("Mailbox", render("list.html", rows=rows))

    async def as_json(self, _: Request) -> Response:
        return JSONResponse([_shape(mail) for mail in self.mailbox.read_all()])

    async def one(self, request: Request) -> Response:
        mail = self.mailbox.find(request.path_params["id"])
        return _missing() if mail is None else _message(mail)

    async def html(self, request: Request) -> Response:
        mail = self.mailbox.find(request.path_params["id"])
        if mail is None or not mail.html:
            return _missing()
        return HTMLResponse(
            _opening_links(mail.html), headers={"Content-Security-Policy": MAIL_CSP}
        )

    async def source(self, request: Request) -> Response:
        mail = self.mailbox.find(request.path_params["id"])
        return _missing() if mail is None else PlainTextResponse(mail.source)

    async def clear(self, _: Request) -> Response:
        self.mailbox.clear()
        return RedirectResponse("/", 303)


def build_app(folder: Path, *, smtp_host: str, smtp_port: int) -> Starlette:
    """Return the application; it listens for SMTP as long as it runs."""
    mailbox = Mailbox(folder)
    pages = Pages(mailbox, smtp_port)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: make_protocol(mailbox), smtp_host, smtp_port)
        async with server:
            yield

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", pages.listing),
            Route("/healthz", _healthz),
            Route("/style.css", _style),
            Route("/messages.json", pages.as_json),
            Route("/messages/{id}", pages.one),
            Route("/messages/{id}/html", pages.html),
            Route("/messages/{id}/source", pages.source),
            Route("/clear", pages.clear, methods=["POST"]),
        ],
    )


async def _style(_: Request) -> Response:
    return Response(stylesheet(), media_type="text/css")


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _row(mail: Mail) -> Markup:
    return render(
        "_row.html",
        id=mail.mail_id,
        subject=mail.subject,
        to=mail.recipients,
        at=f"{mail.received_at:%Y-%m-%d %H:%M:%S}",
    )


def _message(mail: Mail) -> Response:
    frame = render("_frame.html", id=mail.mail_id) if mail.html else Markup("")
    content = render(
        "message.html",
        id=mail.mail_id,
        subject=mail.subject,
        sender=mail.sender,
        to=mail.recipients,
        at=f"{mail.received_at:%Y-%m-%d %H:%M:%S}",
        text=_linked(mail.text),
        frame=frame,
    )
    return page(mail.subject, content)


def _linked(text: str) -> Markup:
    """Return text as HTML whose addresses can be clicked."""
    parts, end = [], 0
    for found in LINK.finditer(text):
        address = escape(found[0])
        parts.append(escape(text[end : found.start()]))
        parts.append(f'<a href="{address}" target="_blank" rel="noreferrer">{address}</a>')
        end = found.end()
    return Markup("".join([*parts, escape(text[end:])]))


def _opening_links(html: str) -> str:
    """Let links open in a window of their own; nothing can be shown inside the frame."""
    return html.replace("<head>", '<head><base target="_blank">', 1)


def _shape(mail: Mail) -> dict[str, str]:
    return {
        "id": mail.mail_id,
        "from": mail.sender,
        "to": mail.recipients,
        "subject": mail.subject,
        "received_at": mail.received_at.isoformat(),
        "text": mail.text,
        "html": mail.html,
    }


def _missing() -> Response:
    return page("No such mail", render("missing.html"), status=404)
