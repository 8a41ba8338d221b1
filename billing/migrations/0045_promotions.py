"""Promotions, and what an order was given of one. Existing orders are looked at later."""

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

ADD_REFERENCE = """
    ALTER TABLE billing_order ADD COLUMN promotion_id bigint NULL;
    ALTER TABLE billing_order ADD CONSTRAINT order_has_its_promotion
        FOREIGN KEY (promotion_id) REFERENCES billing_promotion (id)
        DEFERRABLE INITIALLY DEFERRED NOT VALID;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0044_delivery_failure'),
    ]

    operations = [
        migrations.CreateModel(
            name='Promotion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='Staff alone see it.', max_length=60)),
                ('title', models.CharField(max_length=80)),
                ('title_de', models.CharField(blank=True, db_default='', help_text='What readers of German read instead. Empty: the English.', max_length=80, verbose_name='Title in German')),
                ('text', models.TextField(blank=True, help_text='Plain text.', max_length=300)),
                ('text_de', models.TextField(blank=True, db_default='', help_text='What readers of German read instead. Empty: the English.', max_length=300, verbose_name='Text in German')),
                ('bonus_percent', models.PositiveSmallIntegerField(help_text="In percent of a pack's credits, up to 100. 0: it only announces something.", validators=[django.core.validators.MaxValueValidator(100)], verbose_name='bonus')),
                ('covers_amounts', models.BooleanField(default=False, help_text='Whether custom amounts get the bonus, too.', verbose_name='custom amounts too')),
                ('starts_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('ends_at', models.DateTimeField(help_text='From then on, new orders have no bonus.')),
                ('is_shown', models.BooleanField(default=False, editable=False, verbose_name='shown')),
                ('packs', models.ManyToManyField(blank=True, help_text='Nothing chosen: every pack.', related_name='promotions', to='billing.pack')),
            ],
            options={
                'ordering': ['-starts_at', '-pk'],
            },
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(('bonus_percent__gte', 0), ('bonus_percent__lte', 100)), name='promotion_adds_a_part'),
        ),
        migrations.AddConstraint(
            model_name='promotion',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='promotion_ends_after_its_start', violation_error_message="It can't end before it starts."),
        ),
        migrations.AlterField(
            model_name='pack',
            name='credits',
            field=models.BigIntegerField(validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(500000000000)]),
        ),
        migrations.AddField(
            model_name='order',
            name='bonus_credits',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddField(
                    model_name='order',
                    name='promotion',
                    field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='billing.promotion'),
                ),
            ],
            # Django's own would look at every order while it keeps all others from writing.
            database_operations=[
                migrations.RunSQL(
                    ADD_REFERENCE,
                    reverse_sql='ALTER TABLE billing_order DROP COLUMN promotion_id',
                ),
            ],
        ),
        AddConstraintNotValid(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('bonus_credits', 0), ('promotion', None)), models.Q(('bonus_credits__gt', 0), ('bonus_credits__lt', models.F('credits')), ('promotion__isnull', False)), _connector='OR'), name='order_bonus_has_a_promotion'),
        ),
    ]
