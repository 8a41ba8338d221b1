"""The process: what it opens, what runs beside the requests, which URL goes where."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.stripe import calls, idempotency, outbox
from sandbox.stripe.api import Api
from sandbox.stripe.box import Box
from sandbox.stripe.clock import Clock
from sandbox.stripe.config import Config
from sandbox.stripe.pages.challenge import challenge_routes
from sandbox.stripe.pages.checkout import checkout_routes
from sandbox.stripe.pages.control import control_routes
from sandbox.stripe.pages.money import money_routes
from sandbox.stripe.pages.receipts import receipt_routes
from sandbox.stripe.pages.shortcut import shortcut_routes
from sandbox.stripe.resources.checkout_sessions import expire_overdue
from sandbox.stripe.sender import Sender
from sandbox.stripe.store import open_store

_SWEEP_EVERY_S = 1.0
_METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH"]


def open_box(config: Config) -> Box:
    """Open the store of a data folder; `box.store.close()` when done."""
    store = open_store(config.data_dir, (outbox.SCHEMA, idempotency.SCHEMA, calls.SCHEMA))
    idempotency.drop_unanswered(store)
    return Box(
        config=config,
        store=store,
        clock=Clock(ahead_s=int(store.setting("clock_ahead_s", "0"))),
        outbox=outbox.Outbox(store, config.retry_delays_s),
    )


def build_app(config: Config) -> Starlette:
    # The store belongs to the thread of the event loop, so it is opened where that runs.
    state: dict[str, Box] = {}

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        box = state["box"] = open_box(config)
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(Sender(box).run()), tasks.create_task(_sweep(box))]
                yield
                for task in running:
                    task.cancel()
        finally:
            box.store.close()

    async def api(request: Request) -> Response:
        return await Api(state["box"])(request)

    routes: list[BaseRoute] = [
        Route("/healthz", _healthz),
        Route("/v1/{path:path}", api, methods=_METHODS),
        *challenge_routes(lambda: state["box"]),
        *checkout_routes(lambda: state["box"]),
        *receipt_routes(lambda: state["box"]),
        *shortcut_routes(lambda: state["box"]),
        *control_routes(lambda: state["box"]),
        *money_routes(lambda: state["box"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _sweep(box: Box) -> None:
    """Expire sessions whose time is over and forget old idempotency keys."""
    while True:
        with box.store.transaction():
            expire_overdue(box)
            idempotency.drop_old(box.store, now=box.clock.now())
        await asyncio.sleep(_SWEEP_EVERY_S)
