from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0042_checks_that_stay_cheap'),
    ]

    operations = [
        migrations.CreateModel(
            name='DailyJob',
            fields=[
                ('name', models.CharField(max_length=60, primary_key=True, serialize=False)),
                ('due_at', models.DateTimeField()),
                ('next_attempt_at', models.DateTimeField()),
                ('attempts', models.PositiveIntegerField(default=0)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('next_attempt_at__gte', models.F('due_at'))), name='daily_job_is_tried_once_due')],
            },
        ),
    ]
