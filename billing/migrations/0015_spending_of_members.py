"""Receipts say whose caps they counted for, and each member's spending is kept by month.

Old receipts count for who made their key. They are filled in batches, while bookings go on.
"""

import django.db.models.deletion
from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import F, Max, OuterRef, Subquery, Sum

BATCH = 10_000


def fill_receipts(apps, schema_editor):
    receipts = apps.get_model("billing", "UsageRecord").objects
    makers = apps.get_model("accounts", "ApiKey").objects.filter(pk=OuterRef("api_key"))
    last = receipts.aggregate(last=Max("pk"))["last"] or 0
    for first in range(1, last + 1, BATCH):
        some = receipts.filter(pk__range=(first, first + BATCH - 1), member=None)
        some.update(member=Subquery(makers.values("created_by")))


def fill_spending(apps, schema_editor):
    spent = apps.get_model("billing", "KeySpending").objects.order_by()
    spending = apps.get_model("billing", "MemberSpending")
    rows = spent.values("month", who=F("api_key__created_by"), of=F("api_key__team__wallet"))
    spending.objects.bulk_create(
        [
            spending(
                wallet_id=row["of"],
                member_id=row["who"],
                month=row["month"],
                charged_credits=row["charged"],
            )
            for row in rows.annotate(charged=Sum("charged_credits"))
        ],
        batch_size=BATCH,
        # A run that was broken off begins anew.
        ignore_conflicts=True,
    )


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("billing", "0014_wallets_of_teams"),
        ("accounts", "0003_keys_of_teams"),
    ]
    operations = [
        migrations.AddField(
            "usagerecord",
            "member",
            models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="usage_records",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        AddIndexConcurrently(
            "usagerecord",
            models.Index(fields=["wallet", "member", "-id"], name="usage_of_a_member"),
        ),
        migrations.CreateModel(
            name="MemberSpending",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("month", models.PositiveIntegerField(help_text="Such as 202611.")),
                ("charged_credits", models.BigIntegerField()),
                (
                    "member",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="spending",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "wallet",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="spending_of_members",
                        to="billing.wallet",
                    ),
                ),
            ],
            options={
                "verbose_name": "spending of a member",
                "verbose_name_plural": "spending of members",
                "ordering": ["wallet", "member", "-month"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("wallet", "member", "month"), name="member_spending_is_one_row"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("charged_credits__gte", 0)),
                        name="member_spending_is_not_negative",
                    ),
                ],
            },
        ),
        migrations.RunPython(fill_receipts, migrations.RunPython.noop),
        migrations.RunPython(fill_spending, migrations.RunPython.noop),
    ]
