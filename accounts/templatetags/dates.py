"""The years, months and days above a list of the desk."""

from django import template
from django.contrib.admin.views.main import ChangeList

from accounts.desk.dates import Dates, dates_of

register = template.Library()


@register.simple_tag
def dates(shown: ChangeList) -> Dates | None:
    return dates_of(shown)
