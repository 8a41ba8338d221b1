"""The site map: where search engines find the public pages."""

from django.contrib.sitemaps import Sitemap
from django.urls import reverse

from billing.catalogue.on_sale import read_priced_models
from tokenproxy_site.docs.pages import PAGES


class PublicPages(Sitemap[str]):
    """The pages that anybody may find."""

    def items(self) -> list[str]:
        """Return the paths of all public pages, one for each model and chapter among them."""
        names = ("home", "packs", "models", "status", "api-reference")
        models = (reverse("model", args=[each.model.name]) for each in read_priced_models())
        return [*map(reverse, names), *models, *(page.path for page in PAGES)]

    def location(self, item: str) -> str:
        return item
