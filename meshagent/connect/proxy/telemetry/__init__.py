"""What a sidecar tells of its traffic: metrics, access logs, traces, taps."""
