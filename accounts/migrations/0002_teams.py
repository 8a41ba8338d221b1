"""Teams, and one of their own for everybody who is there."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

USER = settings.AUTH_USER_MODEL
PROTECT = django.db.models.deletion.PROTECT
ROLES = [
    ("owner", "Owner"),
    ("admin", "Admin"),
    ("developer", "Developer"),
    ("billing", "Billing"),
]
ACTIONS = [
    ("team_founded", "founded the team"),
    ("team_renamed", "renamed the team"),
    ("team_closed", "closed the team"),
    ("member_invited", "invited"),
    ("invitation_revoked", "withdrew the invitation of"),
    ("member_joined", "joined"),
    ("member_left", "left"),
    ("member_removed", "removed"),
    ("role_changed", "changed the role of"),
    ("caps_changed", "changed the caps of"),
    ("ownership_handed_over", "handed ownership over to"),
    ("key_made", "made the API key"),
    ("key_changed", "changed the API key"),
    ("key_rotated", "rotated the API key"),
    ("key_revoked", "revoked the API key"),
    ("bought", "bought"),
    ("refunded", "asked for a refund of"),
    ("redeemed", "redeemed the code"),
    ("top_up_agreed", "agreed to automatic top-up with"),
    ("top_up_ended", "switched automatic top-up off"),
]

# Two owners who leave at once would each still see the other, so the second waits for the first.
GUARDS = """
CREATE FUNCTION accounts_demand_an_owner() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    mine bigint;
BEGIN
    IF TG_TABLE_NAME = 'accounts_team' THEN
        mine := NEW.id;
    ELSE
        mine := OLD.team_id;
    END IF;
    PERFORM 1 FROM accounts_team WHERE id = mine AND closed_at IS NULL FOR NO KEY UPDATE;
    IF FOUND AND NOT EXISTS (
        SELECT 1 FROM accounts_membership WHERE team_id = mine AND role = 'owner'
    ) THEN
        RAISE EXCEPTION 'team % has no owner', mine
            USING ERRCODE = 'check_violation', CONSTRAINT = 'team_has_an_owner';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER team_has_an_owner AFTER INSERT OR UPDATE ON accounts_team
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION accounts_demand_an_owner();
CREATE CONSTRAINT TRIGGER team_keeps_an_owner AFTER UPDATE OR DELETE ON accounts_membership
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION accounts_demand_an_owner();

CREATE FUNCTION accounts_forbid_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER team_event_is_immutable BEFORE UPDATE OR DELETE ON accounts_teamevent
    FOR EACH ROW EXECUTE FUNCTION accounts_forbid_change();
"""

NO_GUARDS = """
DROP TRIGGER team_event_is_immutable ON accounts_teamevent;
DROP TRIGGER team_keeps_an_owner ON accounts_membership;
DROP TRIGGER team_has_an_owner ON accounts_team;
DROP FUNCTION accounts_forbid_change();
DROP FUNCTION accounts_demand_an_owner();
"""

OWN_TEAMS = """
INSERT INTO accounts_team (public_id, name, person_id, created_at)
SELECT gen_random_uuid(), '', id, date_joined FROM accounts_user ORDER BY id;
INSERT INTO accounts_membership (team_id, user_id, role, joined_at)
SELECT id, person_id, 'owner', created_at FROM accounts_team ORDER BY id;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""


def at(*, empty: bool = False) -> models.DateTimeField:
    if empty:
        return models.DateTimeField(null=True)
    return models.DateTimeField(default=django.utils.timezone.now)


def person(*, empty: bool = False, related_name: str = "+") -> models.ForeignKey:
    return models.ForeignKey(USER, PROTECT, null=empty, related_name=related_name)


def number() -> models.BigAutoField:
    return models.BigAutoField(
        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
    )


def cap() -> models.BigIntegerField:
    return models.BigIntegerField(null=True, blank=True)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Team",
            fields=[
                ("id", number()),
                ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("name", models.CharField(blank=True, max_length=60)),
                (
                    "person",
                    models.OneToOneField(USER, PROTECT, null=True, related_name="own_team"),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                ("closed_at", models.DateTimeField(editable=False, null=True)),
            ],
            options={
                "ordering": ["-pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("person__isnull", False))
                        | ~models.Q(("name", "")),
                        name="team_has_a_name",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", number()),
                ("role", models.CharField(choices=ROLES, max_length=9)),
                ("lifetime_cap_credits", cap()),
                ("monthly_cap_credits", cap()),
                ("joined_at", at()),
                (
                    "team",
                    models.ForeignKey(
                        on_delete=PROTECT, related_name="memberships", to="accounts.team"
                    ),
                ),
                ("user", person(related_name="memberships")),
            ],
            options={
                "ordering": ["joined_at", "pk"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("team", "user"), name="member_is_in_a_team_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("role__in", ["owner", "admin", "developer", "billing"])
                        ),
                        name="member_has_a_role",
                    ),
                    models.CheckConstraint(
                        condition=(
                            models.Q(("lifetime_cap_credits", None))
                            | models.Q(("lifetime_cap_credits__gte", 0))
                        )
                        & (
                            models.Q(("monthly_cap_credits", None))
                            | models.Q(("monthly_cap_credits__gte", 0))
                        ),
                        name="member_caps_are_not_negative",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                ("id", number()),
                ("email", models.EmailField(max_length=254)),
                ("role", models.CharField(choices=ROLES, max_length=9)),
                ("digest", models.CharField(editable=False, max_length=64, unique=True)),
                ("created_at", at()),
                ("expires_at", models.DateTimeField()),
                ("accepted_at", at(empty=True)),
                ("revoked_at", at(empty=True)),
                (
                    "team",
                    models.ForeignKey(
                        on_delete=PROTECT, related_name="invitations", to="accounts.team"
                    ),
                ),
                ("invited_by", person()),
                ("accepted_by", person(empty=True)),
            ],
            options={
                "ordering": ["-pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("role__in", ["owner", "admin", "developer", "billing"])
                        ),
                        name="invitation_has_a_role",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("accepted_at", None), ("accepted_by", None))
                        | models.Q(
                            ("accepted_at__isnull", False),
                            ("accepted_by__isnull", False),
                            ("revoked_at", None),
                        ),
                        name="invitation_is_accepted_by_somebody",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("accepted_at", None), ("revoked_at", None)),
                        fields=("team", "email"),
                        name="address_is_invited_once",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TeamEvent",
            fields=[
                ("id", number()),
                ("action", models.CharField(choices=ACTIONS, max_length=24)),
                ("subject", models.CharField(blank=True, max_length=120)),
                ("before", models.JSONField(default=dict)),
                ("after", models.JSONField(default=dict)),
                ("at", at()),
                ("actor", person(empty=True)),
                ("member", person(empty=True)),
                (
                    "invitation",
                    models.ForeignKey(
                        null=True, on_delete=PROTECT, related_name="+", to="accounts.invitation"
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(on_delete=PROTECT, related_name="events", to="accounts.team"),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "indexes": [models.Index(fields=["team", "-id"], name="events_of_a_team")],
            },
        ),
        migrations.RunSQL(GUARDS, NO_GUARDS),
        migrations.RunSQL(OWN_TEAMS, migrations.RunSQL.noop),
    ]
