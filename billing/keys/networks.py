"""Networks that an API key may be used from, as people write them."""

from collections.abc import Iterable

from django.utils.translation import gettext

from common.client_networks import read_network

MOST_NETWORKS = 50


class BadNetwork(ValueError):
    """Not an address or network, or too many. The message is for the person who typed it."""


def clean_networks(texts: Iterable[str]) -> list[str]:
    """Return networks in their standard spelling, without duplicates. Raises BadNetwork."""
    networks = dict.fromkeys(_clean(text.strip()) for text in texts if text.strip())
    if len(networks) > MOST_NETWORKS:
        raise BadNetwork(
            gettext("At most {most_networks} networks.").format(most_networks=MOST_NETWORKS)
        )
    return list(networks)


def _clean(text: str) -> str:
    try:
        return str(read_network(text))
    except ValueError:
        pass
    try:
        meant = read_network(text, strict=False)
    except ValueError:
        raise BadNetwork(
            gettext(
                "{text} is not an address such as 203.0.113.7, nor a network such as"
                " 203.0.113.0/24."
            ).format(text=text[:60])
        ) from None
    raise BadNetwork(
        gettext("{text} is an address within a network: write {meant} for all of it.").format(
            text=text, meant=meant
        )
    )
