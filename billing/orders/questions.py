"""How often one person has us ask Stripe, by clicks and by pages that poll.

Stripe limits how often we may ask it, for all customers together.
https://docs.stripe.com/rate-limits
"""

from accounts.models import User
from billing.exceptions import TooManyQuestions
from common.attempts import count_attempt

# A return page that polls for an hour asks about 210 times.
MOST_PER_HOUR = 300


def count_question(asker: User) -> None:
    """Count a question before it is asked. Raises TooManyQuestions."""
    if count_attempt(f"stripe-questions:{asker.pk}") > MOST_PER_HOUR:
        raise TooManyQuestions("Stripe was asked too often for this person within an hour.")
