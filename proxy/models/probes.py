"""Requests of our own that tell how routes do which nobody asks."""

from django.db import models
from django.utils import timezone

from proxy.models.upstreams import Route


class Probe(models.Model):
    """A tiny request through one route, at our own cost: no customer is charged for it.

    `proxy.upstreams.providers.probing` alone writes it. One whose worker died has no outcome.
    """

    class Outcome(models.TextChoices):
        SERVED = "served"
        FAILED = "failed"
        # Nothing that the provider did tells how it does, such as a rate limit of ours.
        REFUSED = "refused"

    # NULL once the route is deleted: what it cost was paid all the same.
    route = models.ForeignKey(Route, models.SET_NULL, null=True, related_name="probes")
    provider_name = models.CharField(max_length=60)
    model_name = models.CharField(max_length=120)
    began_at = models.DateTimeField(default=timezone.now)
    outcome = models.CharField(max_length=10, choices=Outcome, blank=True)
    problem = models.CharField(max_length=200, blank=True)
    latency_ms = models.PositiveIntegerField(null=True)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    # NULL: it is not known what the route costs, or what was used.
    cost_nanos = models.BigIntegerField(null=True)

    class Meta:
        indexes = [
            # What a provider's page sums up, and what a comparison with its own report adds.
            models.Index(fields=["provider_name", "began_at"], name="probes_of_a_provider"),
            models.Index(fields=["model_name", "began_at"], name="probes_of_a_model"),
            # The sweep deletes the oldest.
            models.Index(fields=["began_at"], name="probes_by_age"),
        ]

    def __str__(self) -> str:
        return f"Probe {self.pk} of {self.model_name} at {self.provider_name}"
