"""What who is new here is told: the tour, and what of Ollama's is on the machine already."""
