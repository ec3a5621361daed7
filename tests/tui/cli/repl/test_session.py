"""A conversation as requests: what is sent with each message, and what a saved one is made of."""

from __future__ import annotations

from ollama_engine.types import Message, ModelInfo
from ollama_tui.cli.repl.session import Session


def said(session: Session) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in session.request(Message("user", "?")).messages]


def test_everything_that_was_said_is_sent_with_the_next_message() -> None:
    session = Session("m", system="Be brief.")
    session.add(Message("user", "a"), Message("assistant", "b"))
    assert said(session) == [("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "?")]
    assert [message.content for message in session.messages] == ["Be brief.", "a", "b"]


def test_a_system_message_replaces_one_that_nothing_was_said_to() -> None:
    session = Session("m")
    session.set_system("one")
    session.set_system("two")
    assert said(session) == [("system", "two"), ("user", "?")]
    session.add(Message("user", "a"), Message("assistant", "b"))
    session.set_system("three")
    assert [role for role, _ in said(session)] == ["system", "user", "assistant", "system", "user"]


def test_clear_keeps_the_system_message_alone() -> None:
    session = Session("m", system="Be brief.")
    session.add(Message("user", "a"), Message("assistant", "b"))
    session.clear()
    assert said(session) == [("system", "Be brief."), ("user", "?")]


def test_another_model_begins_anew_and_keeps_what_was_set() -> None:
    session = Session("m", system="Be brief.", options={"seed": 1}, verbose=True)
    session.use("n", ModelInfo(capabilities=["completion", "vision"], messages=[Message("user", "hi")]))
    request = session.request(Message("user", "?"))
    assert (request.model, len(request.messages), request.options) == ("n", 1, {"seed": 1})
    assert session.takes_files
    assert [message.content for message in session.loaded] == ["hi"]


def test_a_model_that_thinks_is_asked_to_unless_somebody_said_otherwise() -> None:
    session = Session("m")
    assert session.request(Message("user", "?")).think is None
    session.know(ModelInfo(capabilities=["completion", "thinking"]))
    assert session.request(Message("user", "?")).think is True
    session.think = False
    assert session.request(Message("user", "?")).think is False


def test_a_saved_session_is_the_model_and_what_was_set_and_said_here() -> None:
    session = Session("m", loaded=[Message("user", "before")], options={"stop": ["x"]})
    session.set_system("Be brief.")
    session.add(Message("user", "a"), Message("assistant", "b", thinking="hm"))
    request = session.save_request("kept")
    assert (request.model, request.from_, request.system) == ("kept", "m", "Be brief.")
    assert request.parameters == {"stop": ["x"]}
    assert [message.content for message in request.messages or ()] == ["before", "a", "b"]


def test_a_session_with_nothing_in_it_saves_a_plain_copy() -> None:
    request = Session("m").save_request("kept")
    assert (request.parameters, request.messages, request.system) == (None, None, "")
