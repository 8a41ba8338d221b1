"""Customers at Stripe."""

from stripe.params import CustomerUpdateParams
from stripe.params import CustomerUpdateParamsAddress as Address

from billing.stripe_api.client import call_stripe

# The key of our owner's id in the metadata of a Customer.
OWNER_KEY = "owner_id"


def create_customer(*, email: str, owner_id: str, idempotency_key: str) -> str:
    """Create a Customer and return its id. Safe to repeat with the same key for a day."""
    with call_stripe() as client:
        customer = client.v1.customers.create(
            {"email": email, "metadata": {OWNER_KEY: owner_id}},
            {"idempotency_key": idempotency_key},
        )
        return customer.id


def update_customer(
    customer_id: str, *, email: str, name: str = "", address: Address | None = None
) -> None:
    """Tell who a Customer is. What is empty is left as it is. Safe to repeat.

    Raises PaymentObjectMissing.
    """
    params: CustomerUpdateParams = {"email": email}
    if name:
        params["name"] = name
    if address:
        params["address"] = address
    with call_stripe() as client:
        client.v1.customers.update(customer_id, params)
