"""Access control as an agent enforces it: who asks, what they may see and do, and what is written down of it."""
