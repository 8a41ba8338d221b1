"""Delete what may go and is old: one table says what, by which setting, and what of it stays.

Quarters of an hour of roll-ups go by days (`rollups/detail.py`), journals as soon as they are
booked (`adoption.py`). Books are not in it: ledger entries, lots, receipts, orders and what staff
and members did are kept, and most of them PostgreSQL lets nobody delete. What a rebuild, an audit
or a person still needs is kept whatever its age, such as an event that was not processed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from psycopg.sql import SQL, Identifier

from billing.models import (
    Export,
    Notice,
    SignIn,
    StatusSubscription,
    StripeEvent,
    WebhookDelivery,
)
from billing.models.status import LINK_LIFETIME
from billing.rollups.detail import forget_quarters
