"""The check of stored prices, which `migrate` runs before it adds a new version's columns."""

import re

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test.utils import CaptureQueriesContext

from billing.catalogue.checks import check_currencies
from billing.models import Pack

COLUMN = re.compile(r'"billing_(pack|packprice)"\."(\w+)"')


def test_it_reads_only_what_the_first_version_had(db: None) -> None:
    Pack.objects.create(name="Small", slug="small", credits=1_000, price_cents=10)
    first = MigrationLoader(connection).project_state(("billing", "0001_initial"))
    known = {
        (model, column)
        for model in ("pack", "packprice")
        for name, field in first.models["billing", model].fields.items()
        for column in (name, f"{name}_id" if field.is_relation else name)
    }

    with CaptureQueriesContext(connection) as queries:
        warnings = check_currencies(None, databases=["default"])

    read = {found for query in queries for found in COLUMN.findall(query["sql"])}
    assert [each.id for each in warnings] == ["billing.W002"]
    assert ("pack", "price_cents") in read
    assert read <= known
