"""Mails of incidents: who gets them, what is to be told, and mails to addresses without a user."""

import uuid

import django.contrib.postgres.fields
import django.utils.timezone
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('accounts', '0015_webhooks'),
        ('billing', '0039_detail_of_roll_ups'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='StatusNews',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('facts', models.JSONField()),
                ('model_names', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=120), default=list, size=None)),
                ('said_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('reached_id', models.BigIntegerField(default=0)),
            ],
            options={
                'verbose_name_plural': 'status news',
            },
        ),
        migrations.CreateModel(
            name='StatusSubscription',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('address', models.EmailField(max_length=254, unique=True)),
                ('language', models.CharField(max_length=10)),
                ('model_names', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=120), blank=True, default=list, help_text='Empty: all models. What concerns the whole service is always told.', size=None, verbose_name='models')),
                ('asked_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('confirmed_at', models.DateTimeField(null=True)),
            ],
            options={
                'ordering': ['address'],
                'indexes': [models.Index(condition=models.Q(('confirmed_at', None)), fields=['asked_at'], name='subscriptions_unconfirmed')],
            },
        ),
        migrations.RemoveConstraint(
            model_name='notice',
            name='notice_has_a_reader',
        ),
        migrations.AlterField(
            model_name='notice',
            name='kind',
            field=models.CharField(choices=[('purchase', 'receipt'), ('refund', 'refund'), ('dispute', 'dispute'), ('low_balance', 'low balance'), ('lot_expiring', 'expiring lot'), ('new_key', 'new key'), ('key_rotated', 'rotated key'), ('key_revoked', 'revoked key'), ('spend_spike', 'leap in spending'), ('new_sign_in', 'new sign-in'), ('password_changed', 'changed password'), ('password_reset', 'reset password'), ('password_link', 'link to a new password'), ('no_account', 'no account with this address'), ('account_deleted', 'deleted account'), ('second_factor', 'changed second step of logging in'), ('address_asked', 'change of address asked for'), ('address_changed', 'changed address'), ('top_up_succeeded', 'auto top-up succeeded'), ('top_up_declined', 'auto top-up declined'), ('top_up_action', 'auto top-up needs authentication'), ('top_up_off', 'auto top-up switched off'), ('team_joined', 'new member of a team'), ('team_role_changed', 'changed role in a team'), ('team_handed_over', 'team handed over'), ('team_removed', 'removed from a team'), ('team_closed', 'closed team'), ('approval_asked', 'deed to be approved'), ('monthly_summary', 'monthly summary'), ('webhook_off', 'webhook switched off'), ('export_ready', 'export that is ready'), ('status_link', 'link that confirms a subscription to the status'), ('incident', 'incident')], max_length=20),
        ),
        AddConstraintNotValid(
            model_name='notice',
            constraint=models.CheckConstraint(condition=models.Q(('user__isnull', False), models.Q(('kind__in', ['no_account', 'account_deleted', 'status_link', 'incident']), models.Q(('address', ''), _negated=True)), _connector='OR'), name='notice_has_a_reader'),
        ),
    ]
