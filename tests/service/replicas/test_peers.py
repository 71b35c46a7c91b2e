"""Requests between replicas: with the secret of the store, over HTTP on a unix socket."""

import asyncio
import ssl
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.errors import Forbidden, NotFound, NotReady
from service.replicas.member import Member
from service.replicas.membership import Membership
from service.replicas.memory import MemoryStore
from service.replicas.peers import SCHEMA, Peers
from service.replicas.values import unpack
from tests.awaiting import within_time
from tests.service.certificates import make_certificate


def member(address: str, name: str = "b") -> Member:
    return Member(id=name, address=address, version="1", started=datetime(2026, 1, 1, tzinfo=UTC))


def test_a_replica_answers_those_that_share_its_store_and_nobody_else() -> None:
    async def test(folder: Path) -> None:
        store = MemoryStore()
        asking, answering, stranger = (
            Peers(Membership(each, member("http://127.0.0.1"))) for each in (store, store, MemoryStore())
        )

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = (line.split(": ", 1) for line in head.splitlines()[1:] if line)
            headers = {name.lower(): value for name, value in lines}
            try:
                await answering.require_peer(headers)
                status, body = "200 OK", head.split()[1].encode()
            except Forbidden:
                status, body = "403 Forbidden", b""
            except NotFound:
                status, body = "404 Not Found", b""
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            writer.close()

        async with await asyncio.start_unix_server(serve, folder / "b.sock"):
            there = member(f"unix://{folder}/b.sock")
            assert await asking.get(there, "/rows/1") == b"/rows/1"
            with pytest.raises(NotReady, match="answers with 403"):
                await stranger.get(there, "/rows/1")
            # A new process at the address of one that has died must not be taken for it.
            with pytest.raises(NotReady, match=r"replica a at unix:.* answers with 404"):
                await asking.get(member(there.address, "a"), "/rows/1")
        with pytest.raises(NotReady, match=r"replica b at unix:.* does not answer"):
            await asking.get(there, "/rows/1")
        for authorization in ("", "Bearer ", "Bearer x"):
            with pytest.raises(Forbidden):
                await answering.require_peer({"authorization": authorization, "denge-replica": "b"})

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(within_time(test(Path(folder)), "no answer"))


def test_replicas_that_speak_tls_trust_the_certificate_that_they_share(tmp_path: Path) -> None:
    own, other = make_certificate(tmp_path, "service"), make_certificate(tmp_path, "other")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own.certificate, own.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nrows")
        writer.close()

    async def test() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
            there = member(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            here = Membership(MemoryStore(), there)
            for _ in range(2):
                assert await Peers(here, str(own.certificate)).get(there, "/rows/1") == b"rows"
            for certificate in (str(other.certificate), None):
                with pytest.raises(NotReady, match=r"does not answer: .*certificate"):
                    await Peers(here, certificate).get(there, "/rows/1")

    asyncio.run(within_time(test(), "no answer"))


class SharedStore(MemoryStore):
    """One that says that other processes use it."""

    is_shared = True


@pytest.mark.parametrize("first", ["old", "new"])
def test_replicas_share_a_secret_again_where_the_store_has_lost_it(first: str) -> None:
    """Whichever is the first to find none: the replica that knew it, or one that has started since."""

    async def test() -> None:
        store = SharedStore()
        here = Membership(store, member("http://127.0.0.1"), heartbeat=0.01)
        old, new = Peers(here), Peers(Membership(store, member("http://127.0.0.1", "new")))

        async def authorized() -> dict[str, str]:
            secret = unpack(SCHEMA, await store.get("secret")) or b""
            return {"authorization": f"Bearer {secret.decode()}", "denge-replica": "b"}

        async def accept() -> None:
            while True:
                with suppress(Forbidden):
                    return await old.require_peer(await authorized())
                await asyncio.sleep(0)

        await old.renew()
        before = await authorized()
        await store.delete("secret")
        if first == "new":
            await new.renew()
            with pytest.raises(Forbidden):
                await old.require_peer(await authorized())
        async with here.running():
            await within_time(accept(), "the replicas have no secret in common")
            assert (await authorized() == before) == (first == "old")

    asyncio.run(within_time(test(), "no end"))
