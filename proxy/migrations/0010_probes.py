"""Probes: requests of our own, and how many an hour each provider has. With a default of the database's."""

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('proxy', '0009_provider_account'),
    ]

    operations = [
        migrations.AddField(
            model_name='provider',
            name='probes_per_hour',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, help_text='How often each of its models is asked for a few tokens, at our cost, while no customer asks for it: 0 (never) to 12.', validators=[django.core.validators.MaxValueValidator(12)]),
        ),
        migrations.CreateModel(
            name='Probe',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider_name', models.CharField(max_length=60)),
                ('model_name', models.CharField(max_length=120)),
                ('began_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('outcome', models.CharField(blank=True, choices=[('served', 'Served'), ('failed', 'Failed'), ('refused', 'Refused')], max_length=10)),
                ('problem', models.CharField(blank=True, max_length=200)),
                ('latency_ms', models.PositiveIntegerField(null=True)),
                ('prompt_tokens', models.PositiveIntegerField(default=0)),
                ('completion_tokens', models.PositiveIntegerField(default=0)),
                ('cost_nanos', models.BigIntegerField(null=True)),
                ('route', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='probes', to='proxy.route')),
            ],
            options={
                'indexes': [models.Index(fields=['provider_name', 'began_at'], name='probes_of_a_provider'), models.Index(fields=['model_name', 'began_at'], name='probes_of_a_model'), models.Index(fields=['began_at'], name='probes_by_age')],
            },
        ),
    ]
