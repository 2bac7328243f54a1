"""What the mesh entry and the modes of a service come to."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.catalog.entries.table import parse
from meshagent.connect.mesh_settings import MeshSettings, Normalization, TlsBounds, mesh_settings


def settings(mesh: dict[str, Any] | None, everyone: str | None = None, own: str | None = None) -> MeshSettings:
    def entry(kind: str, name: str, mode: str | None) -> Any:
        return None if mode is None else parse({"Kind": kind, "Name": name, "MutualTLSMode": mode})

    return mesh_settings(
        None if mesh is None else parse({"Kind": "mesh", **mesh}),  # type: ignore[arg-type]
        entry("proxy-defaults", "global", everyone),
        entry("service-defaults", "api", own),
    )


@pytest.mark.parametrize(
    ("consent", "everyone", "own", "permissive"),
    [
        (True, "permissive", None, True),
        (True, None, "permissive", True),
        (True, "strict", "permissive", True),
        (True, "permissive", "strict", False),
        (True, "permissive", "", True),
        (True, None, None, False),
        (False, "permissive", "permissive", False),
        (None, "permissive", "permissive", False),
    ],
)
def test_permissive_needs_the_mode_and_the_consent(
    consent: bool | None, everyone: str | None, own: str | None, permissive: bool
) -> None:
    mesh = None if consent is None else {"AllowEnablingPermissiveMutualTLS": consent}
    assert settings(mesh, everyone, own).permissive is permissive


def test_without_entries_paths_are_normalized_and_nothing_else_changes() -> None:
    assert settings(None) == settings({}) == MeshSettings()
    assert MeshSettings().normalization.path


def test_what_the_entry_says() -> None:
    found = settings(
        {
            "TLS": {
                "Incoming": {"TLSMinVersion": "TLSv1_3"},
                "Outgoing": {
                    "TLSMaxVersion": "TLSv1_2", "CipherSuites": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
                },
            },
            "HTTP": {
                "SanitizeXForwardedClientCert": True,
                "Incoming": {
                    "RequestNormalization": {
                        "InsecureDisablePathNormalization": True, "MergeSlashes": True,
                        "PathWithEscapedSlashesAction": "REJECT_REQUEST",
                        "HeadersWithUnderscoresAction": "DROP_HEADER",
                    }
                },
            },
        }
    )  # fmt: skip
    assert found.incoming == TlsBounds("TLSv1_3")
    assert found.outgoing == TlsBounds("", "TLSv1_2", ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",))
    assert found.sanitize_xfcc
    assert found.normalization == Normalization(False, True, "REJECT_REQUEST", "DROP_HEADER")
