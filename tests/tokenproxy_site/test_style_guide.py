"""The style guide is for whoever changes the looks, and for nobody else."""

import pytest
from django.test import Client
from pytest_django import Settings


@pytest.mark.django_db
def test_it_is_there_in_debug_mode_alone(client: Client, settings: Settings) -> None:
    assert client.get("/styleguide/").status_code == 404

    settings.DEBUG = True
    page = client.get("/styleguide/").content.decode()

    for state in ("badge-bad", "notice-good", "field-error", "bar-some", "bar-unknown", "disabled"):
        assert state in page
