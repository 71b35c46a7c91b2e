"""Requests from one replica to another: what is too large, or too private, for the store.

They carry a secret that the store holds, so that only processes with access to the store can send them.
"""

import asyncio
import hmac
import secrets
import ssl
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from models.errors import Forbidden, NotFound, NotReady
from service.replicas.member import Member
from service.replicas.membership import Membership
from service.replicas.store import ABSENT
from service.replicas.values import pack, unpack

SCHEMA = 1
ANSWER_SECONDS = 30.0
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For addresses without TLS: making a context for each request would take tens of milliseconds."""
_KEY = "secret"
_FOR = "denge-replica"
"""Header with the id of the replica that is meant: another process may have the address of one that is gone."""


class Peers:
    """The other replicas, for requests.

    Args:
        membership: of this replica.
        certificate: file of the certificate that replicas present to each other; None where they do not speak TLS.
    """

    def __init__(self, membership: Membership, certificate: str | None = None) -> None:
        self._membership = membership
        self._certificate = certificate
        self._secret: str | None = None
        self._context: ssl.SSLContext | None = None
        if membership.store.is_shared:
            membership.watch(_KEY, self._keep_secret)

    async def get(self, member: Member, path: str) -> bytes:
        """Returns what another replica answers.

        Raises:
            NotReady: it does not answer, or refuses.
            StoreUnavailable: the store does not answer.
        """
        return await self._request("GET", member, path)

    async def post(self, member: Member, path: str, body: bytes) -> bytes:
        """Returns what another replica answers to a JSON body.

        Raises:
            NotReady: it does not answer, or refuses.
            StoreUnavailable: the store does not answer.
        """
        return await self._request("POST", member, path, body)

    async def _request(self, method: str, member: Member, path: str, body: bytes | None = None) -> bytes:
        """Returns what another replica answers.

        Raises:
            NotReady: it does not answer, or refuses.
            StoreUnavailable: the store does not answer.
        """
        import httpx2  # noqa: PLC0415 - several MiB that a service alone does not need

        secret = await self._read_secret()
        parts = urlsplit(member.address)
        is_unix = parts.scheme == "unix"
        context = await self._tls() if parts.scheme == "https" else _NO_TLS
        transport = httpx2.AsyncHTTPTransport(uds=parts.path if is_unix else None, verify=context)
        base = "http://replica" if is_unix else member.address
        try:
            async with httpx2.AsyncClient(
                base_url=base, transport=transport, timeout=ANSWER_SECONDS, trust_env=False
            ) as client:
                headers = {"Authorization": f"Bearer {secret}", _FOR: member.id}
                response = await client.request(method, path, headers=headers, content=body)
        except (httpx2.HTTPError, OSError) as error:
            raise NotReady(f"replica {member.id} at {member.address} does not answer: {error}") from error
        if response.status_code != 200:
            raise NotReady(f"replica {member.id} at {member.address} answers with {response.status_code}")
        return response.content

    async def require_peer(self, headers: Mapping[str, str]) -> None:
        """Authorise a request of another replica.

        Raises:
            Forbidden: it comes from someone else.
            NotFound: another replica than this one is meant.
            StoreUnavailable: the store does not answer.
        """
        given, expected = headers.get("authorization", ""), f"Bearer {await self._read_secret()}"
        if not hmac.compare_digest(given.encode(), expected.encode()):
            raise Forbidden("this is for replicas of this service only")
        if headers.get(_FOR) != self._membership.id:
            raise NotFound(f"this is replica {self._membership.id}")

    async def renew(self) -> None:
        """Take the secret of the store; where the store has lost it, give it the one that this replica knows.

        Raises:
            NotReady: the secret is of another release.
            StoreUnavailable: the store does not answer.
        """
        membership, store = self._membership, self._membership.store
        value = await membership.observe(store.get(_KEY))
        if value is None:
            known = self._secret or secrets.token_hex()
            await membership.observe(store.compare_and_set(_KEY, ABSENT, pack(SCHEMA, known.encode())))
            value = await membership.observe(store.get(_KEY))
        secret = unpack(SCHEMA, value)
        if secret is None:
            raise NotReady("the secret in the store is of another release")
        self._secret = secret.decode()

    async def _keep_secret(self) -> None:
        with suppress(NotReady):  # raised again where the secret is needed
            await self.renew()

    async def _read_secret(self) -> str:
        if self._secret is None:
            await self.renew()
        assert self._secret is not None  # noqa: S101 - for the type checker
        return self._secret

    async def _tls(self) -> ssl.SSLContext:
        """Replicas share a certificate, whose names are those of the service and not of a replica."""
        if self._context is None:
            # Reading the certificates that the system trusts takes tens of milliseconds.
            self._context = await asyncio.to_thread(ssl.create_default_context, cafile=self._certificate)
            self._context.check_hostname = self._certificate is None
        return self._context
