"""xDS: the streams of the Envoys that are served by this agent."""
