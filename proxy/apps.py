"""The app of the /v1 API."""

from django.apps import AppConfig


class ProxyConfig(AppConfig):
    """Providers, routes and the API itself."""

    name = "proxy"

    def ready(self) -> None:
        """Have margins tell of what probes cost."""
        from billing.margin.own import add_reader
        from proxy.upstreams.providers.probe_costs import read_margins_of_probes

        add_reader(read_margins_of_probes)
