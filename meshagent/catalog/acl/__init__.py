"""Access control: what a rule says, what a token's rules together allow, and the identities that stand for rules."""
