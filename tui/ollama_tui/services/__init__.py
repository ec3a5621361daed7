"""The work behind the panes: what talks to the engine, owned by the App and outliving every pane.

A service publishes frozen snapshots (`Latest`); panes draw them and call its verbs. No widget holds an engine.
"""

from __future__ import annotations

from ollama_tui.services.catalog import CatalogService
from ollama_tui.services.conversations import ChatService
from ollama_tui.services.jobs import Job, JobService
from ollama_tui.services.latest import Latest
from ollama_tui.services.library import LibraryService
from ollama_tui.services.link import Connect, EngineLink
from ollama_tui.services.monitor import MonitorService
from ollama_tui.services.pulls import PullsService
from ollama_tui.services.residency import ResidencyService
from ollama_tui.services.services import Services

__all__ = [
    "CatalogService",
    "ChatService",
    "Connect",
    "EngineLink",
    "Job",
    "JobService",
    "Latest",
    "LibraryService",
    "MonitorService",
    "PullsService",
    "ResidencyService",
    "Services",
]
