from typing import Any
from urllib.parse import urlsplit

from django.db import migrations, models


def take_providers_host(apps: Any, schema_editor: Any) -> None:
    """What is stored was entered for the host that its provider has now, as far as anybody knows."""
    for provider in apps.get_model("proxy", "Provider").objects.all():
        parts = urlsplit(provider.base_url)
        if not parts.hostname or parts.scheme not in {"https", "http"}:
            continue
        port = parts.port or {"https": 443, "http": 80}[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        provider.keys.update(origin=f"{parts.scheme}://{host}:{port}")


class Migration(migrations.Migration):
    dependencies = [
        ("proxy", "0003_time_limits_in_words"),
    ]

    operations = [
        migrations.AddField(
            model_name="providerkey",
            name="origin",
            field=models.CharField(
                default="",
                editable=False,
                help_text="The scheme, host and port that the key was entered for.",
                max_length=320,
            ),
            preserve_default=False,
        ),
        migrations.RunPython(take_providers_host, migrations.RunPython.noop),
    ]
