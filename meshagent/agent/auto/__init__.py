"""How client agents get certificates, and configuration, from the servers (`auto_encrypt`, `auto_config`).

    a client without a certificate                              a server
    keeper.py ─▶ asking.py ══ TLS, byte 0x07 ══ catalog/rpc ─▶ issuing.py ─▶ connect/authority.py
    (first, renewal)                                             introductions.py (who may)
    kept.py: on disk; introduced.py: before the agent starts

Source: surface row G16; README.md beside this file.
"""
