"""The replicated log on pysyncobj: engine, journal, transport. The only place that imports pysyncobj."""
