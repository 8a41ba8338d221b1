"""A select of hundreds of choices is what Django's own would be."""

import pytest
from django import forms
from django.test import SimpleTestCase

from common.long_selects import LongSelect

CHOICES = [("", "—"), ("DE", "Germany"), ("CI", "Côte d'Ivoire"), (7, '<b>"7"</b>')]


@pytest.mark.parametrize("chosen", [None, "", "DE", 7, "XX"])
@pytest.mark.parametrize("attrs", [{}, {"id": "id_x", "required": True, "class": "a b"}])
def test_it_is_the_same_page_as_djangos(chosen: object, attrs: dict[str, object]) -> None:
    ours = LongSelect(choices=CHOICES).render("x", chosen, attrs)
    theirs = forms.Select(choices=CHOICES).render("x", chosen, attrs)

    SimpleTestCase().assertHTMLEqual(ours, theirs)
