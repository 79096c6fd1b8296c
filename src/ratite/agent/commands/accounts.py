"""guest-get-users, guest-set-user-password."""

from __future__ import annotations

from typing import Any

from ratite.agent.agent import Agent
from ratite.agent.base64_text import decode
from ratite.agent.command import BOOL, TEXT, Argument, command
from ratite.agent.errors import AgentError
from ratite.agent.linux.logins import logins


@command("guest-get-users", needs="logins")
def users(agent: Agent) -> list[dict[str, Any]]:
    """Users who are logged in, with the time of the earliest login."""
    return [{"user": user, "login-time": seconds} for user, seconds in logins(agent.system).items()]


@command(
    "guest-set-user-password", Argument("username", TEXT), Argument("password", TEXT), Argument("crypted", BOOL),
    needs="passwords",
)    # fmt: skip
def set_password(agent: Agent, username: str, password: str, crypted: bool) -> None:
    """Change a password, which comes in base64: plain, or as a hash that crypt(5) knows."""
    try:
        text = decode(password).decode()
    except UnicodeDecodeError:
        raise AgentError("the password is not UTF-8") from None
    if set(text) & set("\n\r\0"):
        raise AgentError("forbidden characters in raw password")
    if not username or username.startswith("-") or set(username) & set(":\n\r"):
        raise AgentError("forbidden characters in username")
    agent.log.info(f"guest-set-user-password: {username!r}")
    agent.system.set_password(username, text, crypted)
