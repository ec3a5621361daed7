"""The workstation and the command line: faces of `ollama_engine`."""
