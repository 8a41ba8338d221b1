"""Hundreds of choices are what Django's own widgets would make of them."""

import pytest
from django import forms
from django.test import SimpleTestCase

from common.long_selects import LongCheckboxes, LongSelect

CHOICES = [("", "—"), ("DE", "Germany"), ("CI", "Côte d'Ivoire"), (7, '<b>"7"</b>')]


@pytest.mark.parametrize("chosen", [None, "", "DE", 7, "XX"])
@pytest.mark.parametrize("attrs", [{}, {"id": "id_x", "required": True, "class": "a b"}])
def test_it_is_the_same_page_as_djangos(chosen: object, attrs: dict[str, object]) -> None:
    ours = LongSelect(choices=CHOICES).render("x", chosen, attrs)
    theirs = forms.Select(choices=CHOICES).render("x", chosen, attrs)

    SimpleTestCase().assertHTMLEqual(ours, theirs)


@pytest.mark.parametrize("chosen", [None, [], ["DE"], ["DE", "7"], [7, "XX"]])
@pytest.mark.parametrize("attrs", [{}, {"id": "id_x", "class": "a b", "aria-label": "X"}])
def test_checkboxes_are_the_same_page_as_djangos(chosen: object, attrs: dict[str, object]) -> None:
    ours = LongCheckboxes(choices=CHOICES).render("x", chosen, attrs)
    theirs = forms.CheckboxSelectMultiple(choices=CHOICES).render("x", chosen, attrs)

    SimpleTestCase().assertHTMLEqual(ours, theirs)
