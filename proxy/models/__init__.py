"""The tables of the proxy: upstreams, and what is told of the service."""

from proxy.models.accounts import ProviderAccount
from proxy.models.probes import Probe
from proxy.models.status import Incident, IncidentUpdate, ServiceDay
from proxy.models.upstreams import (
    PROVIDER_NAME,
    Provider,
    ProviderKey,
    Route,
    check_answer_fields,
    check_endpoints,
    check_request_extras,
    check_rules,
    default_extras,
)

__all__ = [
    "PROVIDER_NAME",
    "Incident",
    "IncidentUpdate",
    "Probe",
    "Provider",
    "ProviderAccount",
    "ProviderKey",
    "Route",
    "ServiceDay",
    # Migrations name these.
    "check_answer_fields",
    "check_endpoints",
    "check_request_extras",
    "check_rules",
    "default_extras",
]
