"""What befalls a customer and a key besides their requests."""

from typing import Any

from django.db import transaction

from accounts.models import ApiKey
from billing.keys.api_keys import change_api_key
from billing.keys.settings import KeySettings
from billing.ledger.pushes import push_on_commit
from billing.models import Wallet
from proxy.database import in_database
from tests.proxy.conftest import Customer


async def limit(customer: Customer, **settings: Any) -> None:
    def change() -> None:
        key = ApiKey.objects.select_related("team__person", "created_by").get(pk=customer.key.pk)
        change_api_key(key, name=key.name, settings=KeySettings(**settings))

    await in_database(change)


def put_in_debt(wallet_id: int) -> None:
    with transaction.atomic():
        Wallet.objects.filter(pk=wallet_id).update(debt_credits=5)
        push_on_commit(wallet_id)
