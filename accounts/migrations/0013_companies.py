"""Whom statements are made out to: a table of its own, and a deed of the trail."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0012_paused_keys'),
    ]

    operations = [
        migrations.AlterField(
            model_name='teamevent',
            name='action',
            field=models.CharField(choices=[('team_founded', 'founded the team'), ('team_renamed', 'renamed the team'), ('team_closed', 'closed the team'), ('company_changed', 'changed the company and address'), ('member_invited', 'invited'), ('invitation_revoked', 'withdrew the invitation of'), ('member_joined', 'joined'), ('member_left', 'left'), ('member_removed', 'removed'), ('role_changed', 'changed the role of'), ('caps_changed', 'changed the caps of'), ('ownership_handed_over', 'handed ownership over to'), ('key_made', 'made the API key'), ('key_changed', 'changed the API key'), ('key_rotated', 'rotated the API key'), ('key_paused', 'paused the API key'), ('key_resumed', 'resumed the API key'), ('key_revoked', 'revoked the API key'), ('bought', 'bought'), ('refunded', 'asked for a refund of'), ('redeemed', 'redeemed the code'), ('top_up_agreed', 'agreed to automatic top-up with'), ('top_up_ended', 'switched automatic top-up off')], max_length=24),
        ),
        migrations.CreateModel(
            name='Company',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(blank=True, max_length=120)),
                ('street', models.CharField(blank=True, max_length=120)),
                ('postal_code', models.CharField(blank=True, max_length=20)),
                ('city', models.CharField(blank=True, max_length=80)),
                ('country', models.CharField(blank=True, max_length=2)),
                ('tax_id', models.CharField(blank=True, max_length=24)),
                ('team', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='company', to='accounts.team')),
            ],
            options={
                'verbose_name_plural': 'companies',
                'constraints': [models.CheckConstraint(condition=models.Q(('country', ''), ('country__regex', '^[A-Z]{2}$'), _connector='OR'), name='company_has_a_country')],
            },
        ),
    ]
