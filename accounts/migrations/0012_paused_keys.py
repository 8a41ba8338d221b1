"""A key may be paused. The column is NULL at first, so that adding it takes no time."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0011_right_to_change_addresses'),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='paused_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AlterField(
            model_name='teamevent',
            name='action',
            field=models.CharField(choices=[('team_founded', 'founded the team'), ('team_renamed', 'renamed the team'), ('team_closed', 'closed the team'), ('member_invited', 'invited'), ('invitation_revoked', 'withdrew the invitation of'), ('member_joined', 'joined'), ('member_left', 'left'), ('member_removed', 'removed'), ('role_changed', 'changed the role of'), ('caps_changed', 'changed the caps of'), ('ownership_handed_over', 'handed ownership over to'), ('key_made', 'made the API key'), ('key_changed', 'changed the API key'), ('key_rotated', 'rotated the API key'), ('key_paused', 'paused the API key'), ('key_resumed', 'resumed the API key'), ('key_revoked', 'revoked the API key'), ('bought', 'bought'), ('refunded', 'asked for a refund of'), ('redeemed', 'redeemed the code'), ('top_up_agreed', 'agreed to automatic top-up with'), ('top_up_ended', 'switched automatic top-up off')], max_length=24),
        ),
    ]
