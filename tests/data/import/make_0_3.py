"""Makes a home with authsome 0.3.1 from PyPI; every secret is made up.

python3.13 -m venv v3 && v3/bin/pip install authsome==0.3.1 && v3/bin/python make_0_3.py HOME
"""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from authsome.auth.models import AuthType, ConnectionRecord, ConnectionStatus
from authsome.auth.models.connection import ProviderClientRecord
from authsome.auth.models.provider import ApiKeyConfig, ProviderDefinition
from authsome.identity import create_identity
from authsome.identity.registry import IdentityRegistry
from authsome.server.dependencies import create_auth_service, get_identity_registry_path

home = Path(sys.argv[1])


async def save(auth, provider, name="default", **values):
    kind = AuthType.API_KEY if "api_key" in values else AuthType.OAUTH2
    values.setdefault("status", ConnectionStatus.CONNECTED)
    await auth._save_connection(
        ConnectionRecord(
            provider=provider, identity=auth.identity, connection_name=name, auth_type=kind, **values
        )
    )
    await auth._update_provider_metadata(provider, name)


async def main():
    registry = IdentityRegistry(get_identity_registry_path(home))
    for handle in ["other-handle-0002", "calm-boldly-0001"]:
        identity = create_identity(home, handle)
        await registry.register(handle=handle, did=identity.did)

    auth = await create_auth_service(home, "calm-boldly-0001")
    await auth.register_provider(
        ProviderDefinition(
            name="acme",
            display_name="Acme",
            auth_type="api_key",
            flow="api_key",
            api_key=ApiKeyConfig(header_name="X-Acme-Key", header_prefix=""),
            api_url="https://api.acme-example.com/v1",
        )
    )
    # Longer than the store keeps in its table: it goes to a file beside it.
    await auth.register_provider(
        ProviderDefinition(
            name="long",
            display_name="Long",
            auth_type="api_key",
            flow="api_key",
            api_key=ApiKeyConfig(),
            api_url="api.long-example.com",
            metadata={"note": "x" * 25000},
        )
    )
    await save(auth, "openai", api_key="sk-made-up-0-3-openai-default-key", obtained_at=datetime(2026, 5, 17, 8, tzinfo=UTC))
    await save(auth, "openai", "work", api_key="sk-made-up-0-3-openai-work-key")
    await auth.set_default_connection("openai", "work")
    await save(auth, "acme", api_key="made-up-acme-key-0-3")
    await save(
        auth,
        "notion_dcr",
        access_token="made-up-notion-access-token",
        refresh_token="made-up-notion-refresh-token",
        token_type="Bearer",
        scopes=[],
        obtained_at=datetime(2026, 5, 17, 9, tzinfo=UTC),
        expires_at=datetime(2026, 5, 17, 10, tzinfo=UTC),
    )
    await auth._save_provider_client_credentials(
        ProviderClientRecord(provider="notion_dcr", client_id="made-up-dcr-client")
    )
    await auth.vault.close()

    auth = await create_auth_service(home, "other-handle-0002")
    await save(auth, "openai", api_key="sk-made-up-0-3-openai-other-key")
    # No orderly end: what was written last is in the write-ahead log only, as after a crash.
    os._exit(0)


asyncio.run(main())
