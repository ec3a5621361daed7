"""`/metrics`: what the server has done and what it holds, for Prometheus."""
