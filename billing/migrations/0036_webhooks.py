"""Webhooks of teams, and what is sent to each."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0015_webhooks'),
        ('billing', '0035_sums_of_days'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='notice',
            name='kind',
            field=models.CharField(choices=[('purchase', 'receipt'), ('refund', 'refund'), ('dispute', 'dispute'), ('low_balance', 'low balance'), ('lot_expiring', 'expiring lot'), ('new_key', 'new key'), ('key_rotated', 'rotated key'), ('key_revoked', 'revoked key'), ('spend_spike', 'leap in spending'), ('new_sign_in', 'new sign-in'), ('password_changed', 'changed password'), ('password_reset', 'reset password'), ('password_link', 'link to a new password'), ('no_account', 'no account with this address'), ('account_deleted', 'deleted account'), ('second_factor', 'changed second step of logging in'), ('address_asked', 'change of address asked for'), ('address_changed', 'changed address'), ('top_up_succeeded', 'auto top-up succeeded'), ('top_up_declined', 'auto top-up declined'), ('top_up_action', 'auto top-up needs authentication'), ('top_up_off', 'auto top-up switched off'), ('team_joined', 'new member of a team'), ('team_role_changed', 'changed role in a team'), ('team_handed_over', 'team handed over'), ('team_removed', 'removed from a team'), ('team_closed', 'closed team'), ('approval_asked', 'deed to be approved'), ('webhook_off', 'webhook switched off')], max_length=20),
        ),
        migrations.CreateModel(
            name='Webhook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('url', models.URLField(max_length=500)),
                ('form', models.CharField(choices=[('json', 'Signed JSON, for a program'), ('slack', 'Slack message')], default='json', max_length=5)),
                ('kinds', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), blank=True, default=list, size=None)),
                ('low_balance_credits', models.BigIntegerField(default=100000)),
                ('encrypted_secret', models.BinaryField()),
                ('encrypted_previous', models.BinaryField(null=True)),
                ('previous_expires_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('failing_since', models.DateTimeField(null=True)),
                ('off_at', models.DateTimeField(null=True)),
                ('off_reason', models.CharField(blank=True, choices=[('member', 'Switched off by a member'), ('failing', 'Switched off because it failed for days'), ('gone', 'Switched off because it answered 410 Gone')], max_length=7)),
                ('armed_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.ledgerentry')),
                ('made_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('team', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='webhooks', to='accounts.team')),
            ],
            options={
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('kind', models.CharField(max_length=20)),
                ('reference', models.CharField(max_length=160)),
                ('body', models.TextField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('delivered_at', models.DateTimeField(null=True)),
                ('given_up_at', models.DateTimeField(null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('next_attempt_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('tried_at', models.DateTimeField(null=True)),
                ('status_code', models.PositiveSmallIntegerField(null=True)),
                ('latency_ms', models.PositiveIntegerField(null=True)),
                ('error', models.CharField(blank=True, max_length=200)),
                ('webhook', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='billing.webhook')),
            ],
            options={
                'verbose_name_plural': 'webhook deliveries',
                'ordering': ['-pk'],
            },
        ),
        migrations.AddIndex(
            model_name='webhook',
            index=models.Index(condition=models.Q(('armed_by__isnull', False), ('off_at', None)), fields=['team'], name='webhook_low_balance_is_armed'),
        ),
        migrations.AddConstraint(
            model_name='webhook',
            constraint=models.CheckConstraint(condition=models.Q(('low_balance_credits__gt', 0)), name='webhook_low_balance_is_above_0'),
        ),
        migrations.AddConstraint(
            model_name='webhook',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('off_at', None), ('off_reason', '')), models.Q(('off_at__isnull', False), models.Q(('off_reason', ''), _negated=True)), _connector='OR'), name='webhook_is_off_for_a_reason'),
        ),
        migrations.AddConstraint(
            model_name='webhook',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('encrypted_previous', None), ('previous_expires_at', None)), models.Q(('encrypted_previous__isnull', False), ('previous_expires_at__isnull', False)), _connector='OR'), name='webhook_previous_secret_ends'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('delivered_at', None), ('given_up_at', None)), fields=['next_attempt_at'], name='deliveries_to_send'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(fields=['webhook', '-id'], name='deliveries_of_a_webhook'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(fields=['created_at'], name='deliveries_by_age'),
        ),
        migrations.AddConstraint(
            model_name='webhookdelivery',
            constraint=models.UniqueConstraint(fields=('webhook', 'kind', 'reference'), name='webhook_is_sent_a_cause_once'),
        ),
        migrations.AddConstraint(
            model_name='webhookdelivery',
            constraint=models.CheckConstraint(condition=models.Q(('delivered_at', None), ('given_up_at', None), _connector='OR'), name='delivery_is_not_taken_and_given_up'),
        ),
        migrations.AddConstraint(
            model_name='webhookdelivery',
            constraint=models.CheckConstraint(condition=models.Q(('delivered_at', None), ('delivered_at__gte', models.F('created_at')), _connector='OR'), name='delivery_is_taken_after_its_cause'),
        ),
    ]
