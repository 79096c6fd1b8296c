"""Requests and answers: what every command has in common."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ratite.agent
from ratite.agent import command
from ratite.agent.command import COMMANDS, INT, TEXT, UINT64, Boolean, Kind, ListOf, Record
from ratite.agent.commands import load_all
from ratite.agent.commands.files import WhenceKind
from ratite.agent.errors import SetupError
from ratite.agent.state import FROZEN_FILE, STATE_FILE

from .conftest import Client, RecordedLinux
from .schema import Member, Schema, members

FOLDER = Path(ratite.agent.__file__).parent
WHILE_FROZEN = {
    "guest-sync", "guest-sync-delimited", "guest-ping", "guest-info", "guest-fsfreeze-status", "guest-fsfreeze-thaw",
}    # fmt: skip


def type_name(kind: Kind, schema: Schema) -> str:
    """What the schema calls a type of argument."""
    if isinstance(kind, ListOf):
        return f"[{type_name(kind.kind, schema)}]"
    if isinstance(kind, Record):
        declared = [Member(item.name, type_name(item.kind, schema), item.optional) for item in kind.members]
        return next(name for name, (what, words) in schema.types.items() if what == "object" and members(words) == declared)
    plain = {INT: "int", UINT64: "uint64", TEXT: "str"}
    return "bool" if isinstance(kind, Boolean) else "GuestFileWhence" if isinstance(kind, WhenceKind) else plain[kind]


def test_commands_are_those_of_the_schema() -> None:
    """All 42, each with the arguments, types and optional members of QEMU 7.1, and answering as it does."""
    load_all()
    schema = Schema()
    assert set(COMMANDS) == set(schema.commands) and len(COMMANDS) == 42
    for name, entry in schema.commands.items():
        declared = [Member(item.name, type_name(item.kind, schema), item.optional) for item in COMMANDS[name].arguments]
        assert declared == entry.arguments, name
        assert COMMANDS[name].success_response == entry.answers, name
    assert {name for name, entry in COMMANDS.items() if entry.while_frozen} == WHILE_FROZEN


def test_the_agent_needs_the_standard_library_only() -> None:
    """Nothing else of Ratite, so that it runs alone; and the syntax of Python 3.9, which older guests have."""
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(), feature_version=(3, 9))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.startswith("ratite") and not name.startswith("ratite.agent")], path


def test_the_table_of_checks_is_complete() -> None:
    """The manual says for each command how its answer is checked, and names tests that there are."""
    text = (Path(__file__).parents[2] / "docs" / "guest-agent.md").read_text()
    rows = [line for line in text.partition("## How the answers are checked")[2].splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(guest-[a-z-]+)`", row.split("|")[1])]
    assert sorted(named) == sorted(Schema().commands)
    for row in rows:
        files = re.findall(r"`(test_\w+\.py)`", row.split("|")[3])
        assert files and all((Path(__file__).parent / name).exists() for name in files), row


def test_sync(client: Client) -> None:
    """Both give the number back; the delimited one after 0xFF, whatever half request was in the stream."""
    assert client.ask("guest-sync", id=-5) == -5
    answers = client.send(b'{"execute": "guest-pi\xff{"execute": "guest-sync-delimited", "arguments": {"id": 7}}')
    assert answers[-1] == b'\xff{"return": 7}\n'
    assert json.loads(answers[0])["error"]["class"] == "GenericError"
    assert client.send(b'{"execute": "guest-ping"}') == [b'{"return": {}}\n'], "only that answer has the byte"


def test_ids_come_back(client: Client) -> None:
    """With answers and with errors, of any type."""
    requests = b'{"execute": "guest-ping", "id": {"a": [1, null]}}{"execute": "no", "id": 0}{"id": "x"}'
    assert [json.loads(answer)["id"] for answer in client.send(requests)] == [{"a": [1, None]}, 0, "x"]


@pytest.mark.parametrize(("request_", "kind", "text"), [
    ("5 ", "GenericError", "QMP input must be a JSON object"),
    ("[]", "GenericError", "QMP input must be a JSON object"),
    ("{}", "GenericError", "QMP input lacks member 'execute'"),
    ('{"execute": 1}', "GenericError", "QMP input member 'execute' must be a string"),
    ('{"execute": "guest-ping", "arguments": []}', "GenericError", "QMP input member 'arguments' must be an object"),
    ('{"execute": "guest-ping", "x": 1}', "GenericError", "QMP input member 'x' is unexpected"),
    ('{"execute": "guest-pong"}', "CommandNotFound", "The command guest-pong has not been found"),
    ('{"execute": "guest-ping", "arguments": {"x": 1}}', "GenericError", "Parameter 'x' is unexpected"),
    ('{"execute": "guest-sync"}', "GenericError", "Parameter 'id' is missing"),
    ('{"execute": "guest-sync", "arguments": {"id": true}}', "GenericError", "Invalid parameter type for 'id', expected: integer"),
    ('{"execute": "guest-sync", "arguments": {"id": 1.0}}', "GenericError", "Invalid parameter type for 'id', expected: integer"),
    ('{"execute": "guest-exec", "arguments": {"path": "x", "arg": ["a", 1]}}', "GenericError",
     "Invalid parameter type for 'arg[1]', expected: string"),
    ('{"execute": "guest-set-vcpus", "arguments": {"vcpus": [{"logical-id": 0}]}}', "GenericError",
     "Parameter 'vcpus[0].online' is missing"),
    ('{"execute": "guest-file-open", "arguments": {"path": "/etc/\\u0000"}}', "GenericError",
     "Parameter 'path' must not contain a NUL character"),
])    # fmt: skip
def test_errors_have_qemus_form(client: Client, request_: str, kind: str, text: str) -> None:
    """A class and a text, which name the member that is wrong."""
    (answer,) = client.send(request_.encode())
    assert json.loads(answer) == {"error": {"class": kind, "desc": text}}


def test_info_tells_what_can_be_used(system: RecordedLinux, connect: Callable[..., Client]) -> None:
    """Blocked commands are shown as disabled, and refused."""
    client = connect(system, blocked=["guest-exec"])
    rows = {row["name"]: row for row in client.ask("guest-info")["supported_commands"]}
    assert [name for name, row in rows.items() if not row["enabled"]] == ["guest-exec"]
    assert [name for name, row in rows.items() if not row["success-response"]] == [
        "guest-shutdown", "guest-suspend-disk", "guest-suspend-ram", "guest-suspend-hybrid",
    ]    # fmt: skip
    assert client.error("guest-exec", path="true") == "Command guest-exec has been disabled"
    with pytest.raises(SetupError, match="there is no such command"):
        connect(system, blocked=["guest-exek"])


def test_while_frozen_six_commands_are_left(system: RecordedLinux, connect: Callable[..., Client]) -> None:
    """Also for an agent that starts while they are frozen, and for one that was restarted again."""
    client = connect(system)
    (client.state / FROZEN_FILE).touch()
    for agent in (client, connect(system)):
        rows = agent.ask("guest-info")["supported_commands"]
        assert {row["name"] for row in rows if row["enabled"]} == WHILE_FROZEN
        assert agent.ask("guest-fsfreeze-status") == "frozen"
        refusal = "Command guest-get-osinfo has been disabled: the agent is in frozen state"
        assert agent.error("guest-get-osinfo") == refusal


def test_a_mistake_of_ours_is_an_answer(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that raises something unexpected does not end the agent; the log says where it was."""

    def fail(agent: Any) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setitem(command.COMMANDS, "guest-ping", COMMANDS["guest-ping"]._replace(function=fail))
    answer = client.request("guest-ping")
    assert answer["error"]["desc"] == "internal error: ZeroDivisionError: oops"
    assert "ZeroDivisionError" in client.log.read_text()


@pytest.mark.parametrize("content", ["", "garbage", "[global]\n", "[global]\nfd_counter=x\n", "[global]\nfd_counter=-4\n", "\0\xff"])
def test_a_damaged_state_file(system: RecordedLinux, connect: Callable[..., Client], content: str, tmp_path: Path) -> None:
    """Handles begin at 1000 again, as in a new guest."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / STATE_FILE).write_bytes(content.encode("latin-1"))
    assert connect(system).ask("guest-file-open", path=str(tmp_path / "new"), mode="w") == 1000
    assert connect(system).ask("guest-file-open", path=str(tmp_path / "new"), mode="w") == 1001, "a restart goes on"
