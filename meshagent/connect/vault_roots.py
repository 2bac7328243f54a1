"""What Vault keeps, as rows of the authority: its root with the intermediate that signs, and leafs.

Source: surface rows CN1, M64-M66. What may change here: nothing that a client of Consul reads from a root or leaf.
"""

from __future__ import annotations

from datetime import datetime

from meshagent.catalog.ca import CARoot
from meshagent.connect import spiffe
from meshagent.connect.ca import BuiltRoot, SignedLeaf, Vouched
from meshagent.connect.ca_config import CASettings
from meshagent.connect.vault import Vault, credentials
from meshagent.errors import BadRequest

__all__ = ["build_vault_root", "intermediate_ends_soon", "sign_in_vault"]

NAME = "Vault CA Root Cert"


def build_vault_root(vault: Vault, settings: CASettings, cluster_id: str, label: str) -> BuiltRoot:
    """The root at Vault, made when there is none, with a fresh intermediate. Blocks. `key` are the credentials.

    Raises:
        MeshError: Vault is not reached, or refuses.
    """
    from meshagent.connect import certs

    uri = spiffe.format(spiffe.SpiffeID(f"{cluster_id}.consul", spiffe.AUTHORITY))
    pem = vault.root(f"pri-{label}.vault.ca.{cluster_id[:8]}.consul", uri, settings)
    between = vault.intermediate(f"sec-{label}.vault.ca.{cluster_id[:8]}.consul", uri, settings)
    found, signs = certs.facts(pem.encode()), certs.facts(between.encode())
    row = CARoot(
        id=found.fingerprint,
        name=NAME,
        serial=found.serial & (2**64 - 1),
        signing_key_id=signs.subject_key_id,
        external_trust_domain=cluster_id,
        not_before=_text(found.not_before),
        not_after=_text(found.not_after),
        root_cert=pem,
        intermediates=(between,),
        key_type=found.key_type,
        key_bits=found.key_bits,
    )
    return BuiltRoot(row, credentials(vault.settings))


def sign_in_vault(
    vault: Vault,
    request_pem: bytes,
    vouched: Vouched,
    root: CARoot,
    settings: CASettings,
    index: int,
) -> SignedLeaf:
    """The leaf of a request: of a service, or of a client agent. Blocks.

    Raises:
        BadRequest: Vault signed another identity.
        MeshError: Vault is not reached, or refuses.
    """
    from meshagent.connect import certs

    uri = vouched.uri
    identity = spiffe.parse(uri)
    if identity.kind == spiffe.AGENT:
        pem = vault.sign_agent(request_pem.decode("ascii"), uri, vouched.names, settings.leaf_life)
    else:
        pem = vault.sign(request_pem.decode("ascii"), settings.leaf_life)
    found = certs.facts(pem.encode())
    if found.uris != (uri,):
        raise BadRequest(f"Vault signed {found.uris} in place of {uri}: its role must allow SPIFFE ids")
    return SignedLeaf(
        serial=certs.serial_text(found.serial),
        chain="".join((pem, *root.intermediates)),
        service=identity.name,
        uri=uri,
        valid_after=_text(found.not_before),
        valid_before=_text(found.not_after),
        index=index,
        root_id=root.id,
    )


def intermediate_ends_soon(root: CARoot, now: datetime) -> bool:
    """Whether less than a third of the signing intermediate's life is left."""
    from meshagent.connect import certs

    if not root.intermediates:
        return True
    found = certs.facts(root.intermediates[0].encode())
    return (found.not_after - now) < (found.not_after - found.not_before) / 3


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
