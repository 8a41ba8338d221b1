"""The rows of a list of the desk."""

from typing import Any

from django import template
from django.contrib.admin.templatetags.admin_list import ResultList, result_headers
from django.contrib.admin.views.main import ChangeList

from accounts.desk.rows import rows_of

register = template.Library()


@register.inclusion_tag("admin/change_list_results.html")
def desk_rows(shown: ChangeList) -> dict[str, Any]:
    """Show a list that is not edited in place, in Django's own template."""
    headers = list(result_headers(shown))
    return {
        "result_headers": headers,
        "num_sorted_fields": sum(bool(each.get("sorted")) for each in headers),
        "results": [ResultList(None, [row]) for row in rows_of(shown)],
    }
