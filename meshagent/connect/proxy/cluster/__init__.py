"""Which instance serves: balancing, ejection, breakers, active checks; pure, for layer 4 and layer 7."""
