import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import proxy.models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('billing', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Provider',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60, unique=True, validators=[django.core.validators.RegexValidator('^[a-z0-9][a-z0-9-]*$', "A provider's name has small letters, digits and hyphens.")])),
                ('base_url', models.URLField(help_text='With its path, such as https://api.openai.com/v1', max_length=300)),
                ('is_active', models.BooleanField(default=True)),
                ('bills_after_cancel', models.BooleanField(default=False, help_text='Bills the whole answer even if we hang up: drain it instead.')),
                ('connect_timeout_s', models.PositiveSmallIntegerField(default=5, help_text='How long a connection may take to open, in seconds; then the next is tried.', validators=[django.core.validators.MinValueValidator(1)])),
                ('first_byte_timeout_s', models.PositiveSmallIntegerField(default=60, help_text='Streams only: how long the first event may take, headers included.', validators=[django.core.validators.MinValueValidator(1)])),
                ('idle_timeout_s', models.PositiveSmallIntegerField(default=60, help_text='Streams only: the longest silence between two events.', validators=[django.core.validators.MinValueValidator(1)])),
                ('total_timeout_s', models.PositiveSmallIntegerField(default=600, help_text='How long a whole answer may take. The only limit of one that is no stream.', validators=[django.core.validators.MinValueValidator(1)])),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('parameter_rules', models.JSONField(blank=True, default=list, help_text='Such as [{"drop": "stop"}, {"rename": "max_tokens", "to": "max_completion_tokens"}].', validators=[proxy.models.check_rules])),
                ('reports_usage', models.BooleanField(default=True, help_text='Knows stream_options. Otherwise usage is counted by us.')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='ProviderKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('encrypted_secret', models.BinaryField()),
                ('hint', models.CharField(editable=False, help_text='The last four characters.', max_length=12)),
                ('is_active', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('provider', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='keys', to='proxy.provider')),
                ('ejected_at', models.DateTimeField(editable=False, null=True)),
                ('ejection_reason', models.CharField(blank=True, editable=False, max_length=200)),
                ('priority', models.PositiveSmallIntegerField(default=0, help_text='Lower is used first.')),
                ('weight', models.PositiveSmallIntegerField(default=1, help_text='Share of the traffic among keys of one priority.', validators=[django.core.validators.MinValueValidator(1)])),
                ('origin', models.CharField(editable=False, help_text='The scheme, host and port that the key was entered for.', max_length=320)),
            ],
            options={
                'ordering': ['priority', 'pk'],
                'constraints': [models.CheckConstraint(condition=models.Q(('weight__gt', 0)), name='provider_key_has_weight'), models.CheckConstraint(condition=models.Q(models.Q(('ejected_at', None), ('ejection_reason', '')), models.Q(('ejected_at__isnull', False), models.Q(('ejection_reason', ''), _negated=True)), _connector='OR'), name='provider_key_is_ejected_with_a_reason')],
            },
        ),
        migrations.CreateModel(
            name='Route',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('upstream_model', models.CharField(help_text="The provider's name for it.", max_length=120)),
                ('priority', models.PositiveSmallIntegerField(default=0, help_text='Lower is tried first.')),
                ('weight', models.PositiveSmallIntegerField(default=1, help_text='Share of the traffic among routes of one priority.')),
                ('is_active', models.BooleanField(default=True)),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='routes', to='billing.publicmodel')),
                ('provider', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='routes', to='proxy.provider')),
                ('cached_prompt_cost_micros', models.BigIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='cached prompt cost')),
                ('completion_cost_micros', models.BigIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='completion cost')),
                ('endpoints', models.JSONField(blank=True, default=list, help_text='What it serves; nothing chosen means everything.', validators=[proxy.models.check_endpoints])),
                ('parameter_rules', models.JSONField(blank=True, default=list, help_text='After the provider\'s own. Such as [{"drop": "stop"}, {"rename": "max_tokens", "to": "max_completion_tokens"}].', validators=[proxy.models.check_rules])),
                ('prompt_cost_micros', models.BigIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='prompt cost')),
                ('vanished_at', models.DateTimeField(editable=False, help_text='Since when the provider no longer lists the model.', null=True)),
            ],
            options={
                'ordering': ['model', 'priority', 'pk'],
                'constraints': [models.UniqueConstraint(fields=('model', 'provider', 'upstream_model'), name='route_exists_once'), models.CheckConstraint(condition=models.Q(('weight__gt', 0)), name='route_has_weight'), models.CheckConstraint(condition=models.Q(models.Q(('prompt_cost_micros', None), ('prompt_cost_micros__gte', 0), _connector='OR'), models.Q(('cached_prompt_cost_micros', None), ('cached_prompt_cost_micros__gte', 0), _connector='OR'), models.Q(('completion_cost_micros', None), ('completion_cost_micros__gte', 0), _connector='OR')), name='route_cost_is_not_negative')],
            },
        ),
    ]
