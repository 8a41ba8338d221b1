"""What changes an API key tells the wallet, so there is one module that does either."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib import admin
from django.test import RequestFactory

from accounts.models import ApiKey, User

ROOT = Path(__file__).resolve().parents[3]
APPS = ("accounts", "billing", "common", "proxy", "tokenproxy_site")
WRITES = {
    "bulk_create",
    "bulk_update",
    "create",
    "delete",
    "get_or_create",
    "save",
    "update",
    "update_or_create",
}
WRITER = "billing/keys/api_keys.py"
OTHERS = {
    # When a key was last used is nothing that a wallet has to know.
    "billing/ledger/key_use.py": ["update(last_used_at)"],
    # Nobody has the secrets of an invented history's keys.
    "billing/management/history.py": [
        "bulk_create(batch_size)",
        "ApiKey(created_by, digest, hint, name, team)",
    ],
}


def find_writes(source: str) -> list[str]:
    """Return the calls in a module that write an API key, each with what it sets."""
    return [_describe(call) for call in _calls(ast.parse(source)) if _writes_a_key(call)]


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _writes_a_key(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Name):
        return call.func.id == "ApiKey"
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in WRITES:
        return False
    names = {node.id for node in ast.walk(call.func) if isinstance(node, ast.Name)}
    related = {node.attr for node in ast.walk(call.func) if isinstance(node, ast.Attribute)}
    is_row = call.func.attr in {"save", "delete"} and names & {"key", "api_key"}
    return bool(is_row or "ApiKey" in names or "api_keys" in related)


def _describe(call: ast.Call) -> str:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else "ApiKey"
    return f"{name}({', '.join(sorted(word.arg or '**' for word in call.keywords))})"


def test_one_module_writes_keys() -> None:
    found = {}
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            if "/migrations/" not in name and "ApiKey" in path.read_text():
                found[name] = find_writes(path.read_text())

    assert found.pop(WRITER)
    assert {name: writes for name, writes in found.items() if writes} == OTHERS


@pytest.mark.parametrize(
    "line",
    [
        "ApiKey(user=user)",
        "ApiKey.objects.create(team=own_team(user), created_by=user)",
        "ApiKey.objects.filter(pk=1).update(revoked_at=now)",
        "user.api_keys.filter(pk=1).delete()",
        "key.save(update_fields=['digest'])",
    ],
)
def test_a_write_is_seen(line: str) -> None:
    assert find_writes(line)


def test_staff_can_change_one_through_actions_alone(db: None) -> None:
    page = admin.site._registry[ApiKey]
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_staff=True)

    assert not page.has_add_permission(request)
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)
