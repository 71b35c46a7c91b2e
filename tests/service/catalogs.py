"""Catalogs without the rest of the service."""

from typing import Any

from models.repository.bundle import ServedBundle
from models.repository.repository import Repository
from models.runtime.engine import Engine
from service.catalog.catalog import Catalog


def start(bundle: ServedBundle) -> Engine:
    """The engine of a bundle, on the CPU."""
    return Engine(bundle.folded, bundle.manifest.inputs)


def loaded(repository: Repository, **options: Any) -> Catalog:
    """A catalog in which all models of a repository are loaded."""
    catalog = Catalog(repository, start, **options)
    catalog.load_all()
    return catalog
