"""What is done to webhooks, in the trail of a team."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0014_german_legal_texts'),
    ]

    operations = [
        migrations.AlterField(
            model_name='teamevent',
            name='action',
            field=models.CharField(choices=[('team_founded', 'founded the team'), ('team_renamed', 'renamed the team'), ('team_closed', 'closed the team'), ('company_changed', 'changed the company and address'), ('member_invited', 'invited'), ('invitation_revoked', 'withdrew the invitation of'), ('member_joined', 'joined'), ('member_left', 'left'), ('member_removed', 'removed'), ('role_changed', 'changed the role of'), ('caps_changed', 'changed the caps of'), ('ownership_handed_over', 'handed ownership over to'), ('key_made', 'made the API key'), ('key_changed', 'changed the API key'), ('key_rotated', 'rotated the API key'), ('key_paused', 'paused the API key'), ('key_resumed', 'resumed the API key'), ('key_revoked', 'revoked the API key'), ('bought', 'bought'), ('refunded', 'asked for a refund of'), ('redeemed', 'redeemed the code'), ('top_up_agreed', 'agreed to automatic top-up with'), ('top_up_ended', 'switched automatic top-up off'), ('webhook_made', 'added a webhook to'), ('webhook_changed', 'changed the webhook to'), ('webhook_rotated', 'renewed the secret of the webhook to'), ('webhook_removed', 'removed the webhook to')], max_length=24),
        ),
    ]
