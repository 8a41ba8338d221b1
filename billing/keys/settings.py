"""The settings of an API key: its expiry, limits, caps, models and networks."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime

from django.utils.translation import gettext

from accounts.models import ApiKey
from billing.keys.networks import clean_networks

MOST_MODELS = 200
# The largest value of PostgreSQL's integer.
MOST_PER_MINUTE = 2_147_483_647


class TooManyModels(ValueError):
    """A key allows more than MOST_MODELS. The message is for the person who named them."""


@dataclass(frozen=True, slots=True)
class KeySettings:
    """What a key may do. None is the site's default, no cap or no expiry; empty is everything."""

    expires_at: datetime | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    lifetime_cap_credits: int | None = None
    monthly_cap_credits: int | None = None
    allowed_models: tuple[str, ...] = ()
    allowed_networks: tuple[str, ...] = ()

    @classmethod
    def of(cls, key: ApiKey) -> "KeySettings":
        """Return a key's settings."""
        values = {field.name: getattr(key, field.name) for field in fields(cls)}
        values["allowed_models"] = tuple(key.allowed_models)
        values["allowed_networks"] = tuple(key.allowed_networks)
        return cls(**values)

    def apply_to(self, key: ApiKey) -> list[str]:
        """Set them on a key, which the caller saves. Returns the names of the fields.

        Raises BadNetwork, TooManyModels; the key is not changed then.
        """
        lists = {
            "allowed_models": clean_models(self.allowed_models),
            "allowed_networks": clean_networks(self.allowed_networks),
        }
        names = [field.name for field in fields(self)]
        for name in names:
            setattr(key, name, lists.get(name, getattr(self, name)))
        return names


def clean_models(names: Iterable[str]) -> list[str]:
    """Return models without duplicates. Raises TooManyModels."""
    models = list(dict.fromkeys(names))
    if len(models) > MOST_MODELS:
        raise TooManyModels(
            gettext("At most {most_models} models; these are {models}.").format(
                most_models=MOST_MODELS, models=len(models)
            )
        )
    return models
