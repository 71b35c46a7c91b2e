"""What replicas do together where they share a store."""

from pathlib import Path
from typing import Any

from service.catalog.catalog import Catalog
from service.host.clock import steady
from service.recalibrating.collector import RowCollector
from service.recalibrating.jobs import Recalibrations
from service.recalibrating.open_collections import OpenCollections
from service.recalibrating.shared_collections import SharedCollections
from service.recalibrating.shared_jobs import SharedRecalibrations
from service.replicas.membership import Membership
from service.replicas.peers import Peers
from service.watching.alarms.alarm import log_alarm
from service.watching.alarms.events import Events
from service.watching.alarms.webhook import Webhook
from service.watching.judge import Judge
from service.watching.shared_drift import SharedDrift


def share_drift(membership: Membership, events: Events, webhook: Webhook) -> SharedDrift | None:
    """What replicas know together of drift; None for a replica that serves alone, which judges its rows at once."""
    if not membership.store.is_shared:
        return None
    return SharedDrift(membership, Judge(membership, steady, log_alarm, webhook.deliver), events.publish_alarm)


def make_recalibrations(
    membership: Membership,
    peers: Peers,
    catalog: Catalog,
    state_folder: Path,
    max_bytes: int,
    collector: RowCollector,
    *,
    has_api_keys: bool,
    **options: Any,
) -> Recalibrations:
    """Jobs of re-calibration: of all replicas that share a store, or of one that serves alone.

    Args:
        membership, peers: of this replica.
        collector, max_bytes, has_api_keys: as of `OpenCollections`.
        catalog, state_folder, options: as of `Recalibrations`.
    """
    if membership.store.is_shared:
        shared = SharedCollections(membership, peers, collector, max_bytes, has_api_keys=has_api_keys)
        return SharedRecalibrations(membership, catalog, state_folder, shared, **options)
    own = OpenCollections(collector, max_bytes, has_api_keys=has_api_keys)
    return Recalibrations(catalog, state_folder, own, **options)
