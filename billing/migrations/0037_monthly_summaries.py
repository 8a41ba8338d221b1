"""Summaries of a month, and who wants none. With a default of the database's: adding it takes no time."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0036_webhooks'),
    ]

    operations = [
        migrations.AddField(
            model_name='notificationsettings',
            name='wants_monthly_summary',
            field=models.BooleanField(db_default=True, default=True),
        ),
        migrations.AlterField(
            model_name='notice',
            name='kind',
            field=models.CharField(choices=[('purchase', 'receipt'), ('refund', 'refund'), ('dispute', 'dispute'), ('low_balance', 'low balance'), ('lot_expiring', 'expiring lot'), ('new_key', 'new key'), ('key_rotated', 'rotated key'), ('key_revoked', 'revoked key'), ('spend_spike', 'leap in spending'), ('new_sign_in', 'new sign-in'), ('password_changed', 'changed password'), ('password_reset', 'reset password'), ('password_link', 'link to a new password'), ('no_account', 'no account with this address'), ('account_deleted', 'deleted account'), ('second_factor', 'changed second step of logging in'), ('address_asked', 'change of address asked for'), ('address_changed', 'changed address'), ('top_up_succeeded', 'auto top-up succeeded'), ('top_up_declined', 'auto top-up declined'), ('top_up_action', 'auto top-up needs authentication'), ('top_up_off', 'auto top-up switched off'), ('team_joined', 'new member of a team'), ('team_role_changed', 'changed role in a team'), ('team_handed_over', 'team handed over'), ('team_removed', 'removed from a team'), ('team_closed', 'closed team'), ('approval_asked', 'deed to be approved'), ('monthly_summary', 'monthly summary'), ('webhook_off', 'webhook switched off')], max_length=20),
        ),
    ]
