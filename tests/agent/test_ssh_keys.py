"""guest-ssh-*: keys of a user, and users who try to have another file read or written."""

from __future__ import annotations

import ctypes
import os
import pwd
import stat
import threading
from pathlib import Path

import pytest

from .conftest import Client, RecordedLinux

ONE, TWO, THREE = "ssh-ed25519 AAAAone ann@one", "ssh-rsa AAAAtwo", 'command="x" ssh-rsa AAAAthree'
UID = os.geteuid()
OTHER = 54321


def account(system: RecordedLinux, name: str = "ann", uid: int = UID) -> Path:
    """A user with a home folder; returns that."""
    system.accounts[name] = pwd.struct_passwd((name, "x", uid, os.getegid(), "", f"/home/{name}", "/bin/sh"))
    home = Path(system.path(f"/home/{name}"))
    home.mkdir(parents=True)
    return home


@pytest.fixture
def home(system: RecordedLinux) -> Path:
    return account(system)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that no request may read or change."""
    path = tmp_path / "secret"
    path.write_text("ssh-rsa SECRET\n")
    return path


def keys(home: Path) -> Path:
    return home / ".ssh" / "authorized_keys"


def get(client: Client) -> list[str]:
    found: list[str] = client.ask("guest-ssh-get-authorized-keys", username="ann")["keys"]
    return found


def test_add_get_remove(client: Client, home: Path) -> None:
    """Keys are added once, options are kept, comments stay in the file; only the user can read it."""
    client.ask("guest-ssh-add-authorized-keys", username="ann", keys=[ONE, TWO, ONE])
    assert keys(home).read_text() == f"{ONE}\n{TWO}\n"
    assert stat.S_IMODE(keys(home).stat().st_mode) == 0o600 and stat.S_IMODE(keys(home).parent.stat().st_mode) == 0o700
    keys(home).write_text(f"# a comment\n\n{ONE}\n  {TWO}  \n")
    client.ask("guest-ssh-add-authorized-keys", username="ann", keys=[THREE])
    assert get(client) == [ONE, TWO, THREE]
    client.ask("guest-ssh-remove-authorized-keys", username="ann", keys=[ONE, "ssh-rsa unknown"])
    assert get(client) == [TWO, THREE] and "# a comment\n" in keys(home).read_text()
    client.ask("guest-ssh-add-authorized-keys", username="ann", keys=[ONE], reset=True)
    assert keys(home).read_text() == f"{ONE}\n"
    assert sorted(os.listdir(home / ".ssh")) == ["authorized_keys"], "nothing else is left"


def test_errors(client: Client, home: Path) -> None:
    """Unknown users, no file, what is no key."""
    assert client.error("guest-ssh-get-authorized-keys", username="eve") == "failed to lookup user 'eve'"
    assert "No such file" in client.error("guest-ssh-get-authorized-keys", username="ann")
    assert "No such file" in client.error("guest-ssh-remove-authorized-keys", username="ann", keys=[ONE])
    for key in ("", " ", "# comment", f"{ONE}\n{TWO}", "a\rb"):
        assert client.error("guest-ssh-add-authorized-keys", username="ann", keys=[key]).startswith("invalid OpenSSH public key")
    assert client.error("guest-ssh-add-authorized-keys", username="../../etc", keys=[ONE]) == "failed to lookup user '../../etc'"
    assert not (home / ".ssh").exists()
    (home / ".ssh").mkdir()
    assert "No such file" in client.error("guest-ssh-get-authorized-keys", username="ann")
    client.ask("guest-ssh-remove-authorized-keys", username="ann", keys=[ONE])


@pytest.mark.parametrize("kind", ["symbolic", "hard", "pipe", "folder"])
def test_the_file_is_something_else(client: Client, home: Path, secret: Path, kind: str) -> None:
    """It is not read; adding with reset puts a file in its place, and what it led to stays as it was."""
    keys(home).parent.mkdir()
    if kind == "symbolic":
        keys(home).symlink_to(secret)
    elif kind == "hard":
        os.link(secret, keys(home))
    elif kind == "pipe":
        os.mkfifo(keys(home))
    else:
        keys(home).mkdir()
    assert "SECRET" not in str(client.request("guest-ssh-get-authorized-keys", username="ann"))
    assert client.error("guest-ssh-get-authorized-keys", username="ann")
    assert client.error("guest-ssh-add-authorized-keys", username="ann", keys=[ONE])
    answer = client.request("guest-ssh-add-authorized-keys", username="ann", keys=[ONE], reset=True)
    assert ("error" in answer) == (kind == "folder")
    assert secret.read_text() == "ssh-rsa SECRET\n"
    assert kind == "folder" or (keys(home).read_text() == f"{ONE}\n" and keys(home).lstat().st_nlink == 1)
    assert [name for name in os.listdir(home / ".ssh") if name != "authorized_keys"] == []


def test_the_folder_is_a_link(client: Client, home: Path, tmp_path: Path) -> None:
    """Nothing is read from or written to where it leads."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "authorized_keys").write_text("SECRET\n")
    (home / ".ssh").symlink_to(elsewhere)
    for command, more in (("get", {}), ("add", {"keys": [ONE]}), ("remove", {"keys": ["SECRET"]})):
        assert "failed to open" in client.error(f"guest-ssh-{command}-authorized-keys", username="ann", **more)
    assert os.listdir(elsewhere) == ["authorized_keys"] and (elsewhere / "authorized_keys").read_text() == "SECRET\n"


@pytest.mark.skipif(UID != 0, reason="only root can make files of others")
def test_folders_and_files_of_others(client: Client, system: RecordedLinux) -> None:
    """A home, .ssh or file that belongs to a third user is left alone; what is made belongs to the user."""
    home = account(system, "bob", OTHER)
    os.chown(home, OTHER, OTHER)
    client.ask("guest-ssh-add-authorized-keys", username="bob", keys=[ONE])
    assert keys(home).stat().st_uid == keys(home).parent.stat().st_uid == OTHER
    for path in (keys(home), keys(home).parent, home):
        os.chown(path, OTHER + 1, OTHER)
        assert "belongs to another user" in client.error("guest-ssh-add-authorized-keys", username="bob", keys=[TWO])
        os.chown(path, OTHER, OTHER)
    assert keys(home).read_text() == f"{ONE}\n"


def test_a_user_who_swaps_folders_meanwhile(client: Client, home: Path, tmp_path: Path) -> None:
    """While a thread makes .ssh a link and a folder in turn, no file outside is touched, whatever the answers are."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "authorized_keys").write_text("SECRET\n")
    exchange = ctypes.CDLL(None).renameat2
    ssh, link = home / ".ssh", home / "link"
    ssh.mkdir()
    link.symlink_to(elsewhere)
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            exchange(-100, os.fsencode(ssh), -100, os.fsencode(link), 2)    # AT_FDCWD, RENAME_EXCHANGE

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(300):
            client.request("guest-ssh-add-authorized-keys", username="ann", keys=[f"ssh-rsa {number}"], reset=number % 3 == 0)
            assert "SECRET" not in str(client.request("guest-ssh-get-authorized-keys", username="ann"))
    finally:
        done.set()
        thread.join()
    assert os.listdir(elsewhere) == ["authorized_keys"] and (elsewhere / "authorized_keys").read_text() == "SECRET\n"


def test_sizes(client: Client, home: Path) -> None:
    """A file or list of more than a megabyte is refused; bytes that are no UTF-8 are kept as they are."""
    keys(home).parent.mkdir()
    keys(home).write_bytes(b"ssh-rsa A caf\xe9\n")
    client.ask("guest-ssh-add-authorized-keys", username="ann", keys=[ONE])
    assert keys(home).read_bytes() == f"ssh-rsa A caf\udce9\n{ONE}\n".encode(errors="surrogateescape")
    assert "bytes" in client.error("guest-ssh-add-authorized-keys", username="ann", keys=[f"ssh-rsa {n:060}" for n in range(20_000)])
    keys(home).write_bytes(b"x" * ((1 << 20) + 1))
    assert "larger than" in client.error("guest-ssh-get-authorized-keys", username="ann")
