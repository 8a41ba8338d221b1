"""Whom a team's statements and invoices are made out to."""

from django.db import models
from django.db.models import Q

from accounts.models.team import Team


class Company(models.Model):
    """A team's company, address and tax id, as its members typed them. Any may be empty."""

    team = models.OneToOneField(Team, models.PROTECT, related_name="company")
    name = models.CharField(max_length=120, blank=True)
    street = models.CharField(max_length=120, blank=True)
    postal_code = models.CharField(max_length=20, blank=True)
    city = models.CharField(max_length=80, blank=True)
    # ISO 3166-1, two letters.
    country = models.CharField(max_length=2, blank=True)
    tax_id = models.CharField(max_length=24, blank=True)

    class Meta:
        verbose_name_plural = "companies"
        constraints = [
            models.CheckConstraint(
                condition=Q(country="") | Q(country__regex="^[A-Z]{2}$"),
                name="company_has_a_country",
            ),
        ]

    def __str__(self) -> str:
        return self.name or f"Company of {self.team}"

    @property
    def lines(self) -> list[str]:
        """Return what stands on a statement, one line each."""
        place = f"{self.postal_code} {self.city}".strip()
        tax_id = f"Tax id {self.tax_id}" if self.tax_id else ""
        country = f"{place}, {self.country}" if place and self.country else place or self.country
        return [line for line in (self.name, self.street, country, tax_id) if line]
