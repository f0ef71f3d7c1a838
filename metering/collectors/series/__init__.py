"""What a Prometheus knows, integrated over time: the collector, asking (promql), the arithmetic, devices of dcgm-exporter, and whose a series is."""
