"""Who calls: whatever is sent instead of a key is refused, before anything is looked up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.secrets import ALPHABET, LENGTH, PREFIX
from proxy.api.authentication import find_key
from proxy.errors import AuthenticationFailed
from proxy.serving.keys import KeyCache

# What an HTTP header can carry.
HEADER = st.text(st.characters(max_codepoint=255), max_size=2 * LENGTH)
SECRET_LIKE = st.text(ALPHABET, max_size=LENGTH).map(lambda end: PREFIX + end)


class NoKeys(KeyCache):
    """A cache that nothing may be looked up in."""

    async def find(self, digest: str, get_caller: object = None) -> None:
        pytest.fail(f"{digest} was looked up")


@given(
    st.one_of(HEADER, HEADER.map(lambda end: f"Bearer {end}"), SECRET_LIKE.map("bearer {}".format))
)
async def test_whatever_a_header_says_is_refused_without_a_look_up(header: str) -> None:
    with pytest.raises(AuthenticationFailed):
        await find_key(header, NoKeys(), {"headers": [], "client": None})
