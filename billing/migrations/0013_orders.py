import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

INBOX_KINDS = {"purchase_mismatch": "order_mismatch", "purchase_paid_twice": "order_paid_twice"}
CONSTRAINTS = {
    "purchase_has_credits": ("order_has_credits", Q(credits__gt=0)),
    "purchase_costs_something": ("order_costs_something", Q(amount_cents__gt=0)),
    "purchase_gives_back_at_most_its_credits": (
        "order_gives_back_at_most_its_credits",
        Q(reinstated_credits__gte=0)
        & Q(clawed_back_credits__gte=F("reinstated_credits"))
        & Q(clawed_back_credits__lte=F("reinstated_credits") + F("credits")),
    ),
    "purchase_is_fulfilled_at_an_instant": (
        "order_is_fulfilled_at_an_instant",
        Q(status="fulfilled", fulfilled_at__isnull=False) | ~Q(status="fulfilled") & Q(fulfilled_at=None),
    ),
}


def rename_values(apps, schema_editor):
    for old, new in INBOX_KINDS.items():
        apps.get_model("billing", "InboxItem").objects.filter(kind=old).update(kind=new)
    # Before `migrate` makes them anew, so that whoever has one keeps it.
    permissions = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="billing")
    for action in ("add", "change", "delete", "view"):
        permissions.filter(codename=f"{action}_purchase").update(
            codename=f"{action}_order", name=f"Can {action} order"
        )


class Migration(migrations.Migration):
    """An order is called an order. A purchase is the ledger's entry of its credits alone."""

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("billing", "0012_notices_of_security"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint("refund", "refund_is_asked_one_at_a_time"),
        migrations.RenameModel("Purchase", "Order"),
        migrations.RenameField("debit", "purchase", "order"),
        migrations.RenameField("dispute", "purchase", "order"),
        migrations.RenameField("refund", "purchase", "order"),
        migrations.RenameField("topuppayment", "purchase", "order"),
        migrations.AddConstraint(
            "refund",
            models.UniqueConstraint(
                condition=Q(status="open"), fields=("order",), name="refund_is_asked_one_at_a_time"
            ),
        ),
        migrations.AlterField(
            "order",
            "user",
            models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="orders", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AlterField(
            "order",
            "pack",
            models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="orders", to="billing.pack"
            ),
        ),
        migrations.RenameIndex("order", new_name="orders_to_check", old_name="purchases_to_check"),
        migrations.RenameIndex("order", new_name="orders_of_a_user", old_name="purchases_of_a_user"),
        migrations.RenameIndex("order", new_name="orders_by_charge", old_name="purchases_by_charge"),
        migrations.RenameIndex("order", new_name="orders_by_address", old_name="purchases_by_address"),
        *(
            migrations.SeparateDatabaseAndState(
                database_operations=[
                    migrations.RunSQL(
                        f"ALTER TABLE billing_order RENAME CONSTRAINT {old} TO {new}",
                        f"ALTER TABLE billing_order RENAME CONSTRAINT {new} TO {old}",
                    )
                ],
                state_operations=[
                    migrations.RemoveConstraint("order", old),
                    migrations.AddConstraint("order", models.CheckConstraint(condition=condition, name=new)),
                ],
            )
            for old, (new, condition) in CONSTRAINTS.items()
        ),
        migrations.RunPython(rename_values, migrations.RunPython.noop),
    ]
