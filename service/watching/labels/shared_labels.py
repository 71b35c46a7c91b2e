"""Labels for the requests that any of several replicas has answered: each replica knows its own."""

from collections.abc import Sequence

from pydantic import ConfigDict, TypeAdapter

from models.errors import NotReady
from service.replicas.membership import Membership
from service.replicas.peers import Peers
from service.replicas.store import StoreUnavailable
from service.watching.labels.labels import LabelledRequest, LabelReport, Labels

LABELS_PATH = "/v2/replicas/labels/"
"""At which a replica takes labels that another one was sent; the model's name follows."""

_REQUESTS = TypeAdapter(list[LabelledRequest], config=ConfigDict(defer_build=True))


class SharedLabels:
    """Labels for this replica, and for those that share its store.

    Args:
        labels: for the requests that this replica has answered.
        membership: of this replica.
        peers: the other replicas.
    """

    def __init__(self, labels: Labels, membership: Membership, peers: Peers) -> None:
        self._labels = labels
        self._membership = membership
        self._peers = peers

    async def apply(self, model: str, requests: Sequence[LabelledRequest]) -> LabelReport:
        """Compare labels with what was predicted, here or by another replica.

        Raises:
            NotReady: requests are unknown here, and the store does not say which other replicas there are.
        """
        report = self._labels.apply(model, requests)
        if not (report.unknown and self._membership.store.is_shared):
            return report
        try:
            members = await self._membership.members()
        except StoreUnavailable as error:
            message = "other replicas cannot be asked while the store does not answer: send the labels again"
            raise NotReady(message) from error
        for member in members:
            if member.id == self._membership.id or not report.unknown:
                continue
            unknown = set(report.unknown)
            body = _REQUESTS.dump_json([request for request in requests if request.id in unknown])
            try:
                answer = await self._peers.post(member, f"{LABELS_PATH}{model}", body)
                report.add(LabelReport.model_validate_json(answer))
            except NotReady:
                report.unreached.append(member.id)
        return report

    def take(self, model: str, body: bytes) -> bytes:
        """Returns the report on labels that another replica was sent, both as `apply` sends and reads them.

        Raises:
            ValidationError: the body is of another release.
        """
        return self._labels.apply(model, _REQUESTS.validate_json(body)).model_dump_json().encode()
