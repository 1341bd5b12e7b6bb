"""Makes a home with authsome 0.2.3 from PyPI; every secret is made up.

python3.13 -m venv v2 && v2/bin/pip install authsome==0.2.3 && v2/bin/python make_0_2.py HOME
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from authsome.auth.models import AuthType, ConnectionRecord, ConnectionStatus
from authsome.auth.models.connection import ProviderClientRecord
from authsome.auth.models.provider import ApiKeyConfig, ProviderDefinition
from authsome.context import AuthsomeContext

home = Path(sys.argv[1])


def save(auth, provider, name="default", **values):
    kind = AuthType.API_KEY if "api_key" in values else AuthType.OAUTH2
    values.setdefault("status", ConnectionStatus.CONNECTED)
    auth._save_connection(
        ConnectionRecord(
            provider=provider, profile=auth.identity, connection_name=name, auth_type=kind, **values
        )
    )
    auth._update_provider_metadata(provider, name)


AuthsomeContext.create(home).close()
(home / "profiles" / "work").mkdir()

context = AuthsomeContext.create(home)
auth = context.auth
auth.registry.register_provider(
    ProviderDefinition(
        name="acme",
        display_name="Acme",
        auth_type="api_key",
        flow="api_key",
        api_key=ApiKeyConfig(header_name="X-Acme-Key", header_prefix=""),
        host_url="api.acme-example.com",
    )
)
auth.registry.register_provider(auth.registry.get_provider("resend"))
save(auth, "openai", api_key="sk-made-up-0-2-openai-default-key", obtained_at=datetime(2026, 4, 30, 8, tzinfo=UTC))
save(auth, "openai", "second", api_key="sk-made-up-0-2-openai-second-key")
save(auth, "acme", api_key="made-up-acme-key-0-2")
save(auth, "typeform", api_key="made-up-revoked-typeform", status=ConnectionStatus.REVOKED)
save(
    auth,
    "github",
    base_url="https://github.example.com",
    access_token="made-up-github-access-token",
    refresh_token="made-up-github-refresh-token",
    token_type="bearer",
    scopes=["repo", "read:user"],
    obtained_at=datetime(2026, 4, 30, 9, tzinfo=UTC),
    expires_at=datetime(2026, 4, 30, 17, tzinfo=UTC),
)
auth._save_provider_client_credentials(
    ProviderClientRecord(
        profile=auth.identity,
        provider="github",
        client_id="made-up-client-id",
        client_secret="made-up-client-secret",
        base_url="https://github.example.com",
    )
)
context.close()

context = AuthsomeContext.create(home, profile="work")
save(context.auth, "openai", api_key="sk-made-up-0-2-openai-work-key")
# No orderly end: what was written last is in the write-ahead log only, as after a crash.
os._exit(0)
