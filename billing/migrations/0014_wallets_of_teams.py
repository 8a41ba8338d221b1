"""Wallets, orders, codes, consents and notices belong to teams; who did a thing is a person."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

USER = settings.AUTH_USER_MODEL
PROTECT = django.db.models.deletion.PROTECT

# Pending checks of foreign keys would keep the tables from being altered.
FILL = """
UPDATE billing_wallet w SET team_id = t.id FROM accounts_team t WHERE t.person_id = w.user_id;
UPDATE billing_order o SET team_id = t.id FROM accounts_team t WHERE t.person_id = o.user_id;
UPDATE billing_redeemcode c SET team_id = t.id
  FROM accounts_team t WHERE t.person_id = c.redeemed_by_id;
UPDATE billing_topupconsent c SET given_by_id = w.user_id
  FROM billing_wallet w WHERE w.id = c.wallet_id;
UPDATE billing_notificationsettings s SET team_id = t.id
  FROM accounts_team t WHERE t.person_id = s.user_id;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""


def team(related_name: str, **options: object) -> models.ForeignKey:
    return models.ForeignKey(
        "accounts.team", on_delete=PROTECT, related_name=related_name, **options
    )


def wallet_team(**options: object) -> models.OneToOneField:
    return models.OneToOneField(
        "accounts.team", on_delete=PROTECT, related_name="wallet", **options
    )


def giver(**options: object) -> models.ForeignKey:
    return models.ForeignKey(USER, on_delete=PROTECT, related_name="+", **options)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_keys_of_teams"),
        ("billing", "0013_domains_of_welcomes"),
    ]

    operations = [
        migrations.AddField("wallet", "team", wallet_team(null=True)),
        migrations.AddField("order", "team", team("orders", null=True, db_index=False)),
        migrations.AddField("redeemcode", "team", team("redeemed_codes", null=True)),
        migrations.AddField("topupconsent", "given_by", giver(null=True)),
        migrations.AddField("notice", "team", team("+", null=True, db_index=False)),
        migrations.AddField(
            "notificationsettings", "team", team("notification_settings", null=True)
        ),
        migrations.RemoveConstraint("redeemcode", "code_is_redeemed_by_somebody"),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AlterField("wallet", "team", wallet_team()),
        migrations.RemoveField("wallet", "user"),
        migrations.AlterField("order", "team", team("orders", db_index=False)),
        migrations.RemoveConstraint("order", "one_top_up_is_open"),
        migrations.RemoveIndex("order", "orders_of_a_user"),
        migrations.RemoveIndex("order", "top_ups_of_a_month"),
        migrations.RenameField("order", "user", "buyer"),
        migrations.AddConstraint(
            "order",
            models.UniqueConstraint(
                condition=models.Q(("channel", "top_up"), ("status__in", ["open", "pending"])),
                fields=("team",),
                name="one_top_up_is_open",
            ),
        ),
        migrations.AddIndex(
            "order", models.Index(fields=["team", "-id"], name="orders_of_a_team")
        ),
        migrations.AddIndex(
            "order",
            models.Index(
                condition=models.Q(("channel", "top_up")),
                fields=["team", "created_at"],
                name="top_ups_of_a_month",
            ),
        ),
        migrations.AddConstraint(
            "redeemcode",
            models.CheckConstraint(
                condition=models.Q(("redeemed_at", None), ("redeemed_by", None), ("team", None))
                | models.Q(
                    ("redeemed_at__isnull", False),
                    ("redeemed_by__isnull", False),
                    ("team__isnull", False),
                ),
                name="code_is_redeemed_by_somebody",
            ),
        ),
        migrations.AddConstraint(
            "redeemcode",
            models.UniqueConstraint(
                condition=models.Q(("is_one_each", True), ("team__isnull", False)),
                fields=("batch", "team"),
                name="code_of_a_batch_is_for_a_team_once",
            ),
        ),
        migrations.AlterField("topupconsent", "given_by", giver()),
        migrations.RemoveConstraint("notice", "notice_is_told_once"),
        migrations.AddConstraint(
            "notice",
            models.UniqueConstraint(
                fields=("kind", "reference", "user"),
                name="notice_is_told_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AlterField(
            "notificationsettings", "team", team("notification_settings")
        ),
        migrations.AlterField(
            "notificationsettings",
            "user",
            models.ForeignKey(on_delete=PROTECT, related_name="notification_settings", to=USER),
        ),
        migrations.AddConstraint(
            "notificationsettings",
            models.UniqueConstraint(
                fields=("team", "user"), name="notification_settings_are_one_row"
            ),
        ),
        migrations.RemoveIndex("notificationsettings", "low_balance_is_armed"),
        migrations.AddIndex(
            "notificationsettings",
            models.Index(
                condition=models.Q(("armed_by__isnull", False), ("wants_low_balance", True)),
                fields=["team"],
                name="low_balance_is_armed",
            ),
        ),
    ]
