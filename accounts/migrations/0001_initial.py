import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import accounts.models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('is_staff', models.BooleanField(default=False, help_text='Designates whether the user can log into this admin site.', verbose_name='staff status')),
                ('is_active', models.BooleanField(default=True, help_text='Designates whether this user should be treated as active. Unselect this instead of deleting accounts.', verbose_name='active')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, verbose_name='date joined')),
                ('email', models.EmailField(max_length=254, unique=True, verbose_name='e-mail address')),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            options={
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Lower('email'), name='user_email_is_unique_in_any_case')],
            },
            managers=[
                ('objects', accounts.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60)),
                ('digest', models.CharField(editable=False, help_text='SHA-256 of the secret, in hex.', max_length=64, unique=True)),
                ('hint', models.CharField(editable=False, help_text="The secret's first and last characters.", max_length=24)),
                ('requests_per_minute', models.PositiveIntegerField(blank=True, help_text="Empty: the site's default.", null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='api_keys', to=settings.AUTH_USER_MODEL)),
                ('allowed_models', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=120), blank=True, default=list, help_text='Empty: all models.', size=None)),
                ('allowed_networks', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=43), blank=True, default=list, help_text='Addresses or networks such as 203.0.113.0/24. Empty: from anywhere.', size=None)),
                ('concurrent_requests', models.PositiveIntegerField(blank=True, help_text="Under way at once. Empty: the site's default.", null=True)),
                ('lifetime_cap_credits', models.BigIntegerField(blank=True, help_text='The most that this key may ever spend. Empty: no cap.', null=True)),
                ('monthly_cap_credits', models.BigIntegerField(blank=True, help_text='The most in a calendar month (UTC). Empty: no cap.', null=True)),
                ('previous_digest', models.CharField(editable=False, max_length=64, null=True, unique=True)),
                ('previous_expires_at', models.DateTimeField(editable=False, null=True)),
                ('previous_hint', models.CharField(blank=True, editable=False, max_length=24)),
                ('tokens_per_minute', models.PositiveIntegerField(blank=True, help_text="Prompt and answer together. Empty: the site's default.", null=True)),
            ],
            options={
                'verbose_name': 'API key',
                'ordering': ['-created_at', '-pk'],
                'constraints': [models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='api_key_has_a_digest'), models.CheckConstraint(condition=models.Q(('requests_per_minute', None), ('requests_per_minute__gt', 0), _connector='OR'), name='api_key_allows_some_requests'), models.CheckConstraint(condition=models.Q(models.Q(('tokens_per_minute', None), ('tokens_per_minute__gt', 0), _connector='OR'), models.Q(('concurrent_requests', None), ('concurrent_requests__gt', 0), _connector='OR')), name='api_key_allows_something_at_once'), models.CheckConstraint(condition=models.Q(models.Q(('lifetime_cap_credits', None), ('lifetime_cap_credits__gte', 0), _connector='OR'), models.Q(('monthly_cap_credits', None), ('monthly_cap_credits__gte', 0), _connector='OR')), name='api_key_caps_are_not_negative'), models.CheckConstraint(condition=models.Q(models.Q(('previous_digest', None), ('previous_expires_at', None), ('previous_hint', '')), models.Q(('previous_digest__regex', '^[0-9a-f]{64}$'), ('previous_expires_at__isnull', False)), _connector='OR'), name='api_key_rotation_has_an_end')],
            },
        ),
    ]
