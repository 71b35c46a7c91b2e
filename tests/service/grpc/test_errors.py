"""Errors of the domain as gRPC's codes."""

from collections.abc import Iterator

import pytest
from grpc import StatusCode

from models.errors import (
    DengeError,
    Forbidden,
    InferenceFailed,
    InvalidInput,
    NotFound,
    NotReady,
    NotSupported,
    Overloaded,
    TooLarge,
    Unauthenticated,
)
from service.errors import INTERNAL, public_error
from service.grpc.errors import CODES, failure


def kinds(error: type[DengeError]) -> Iterator[type[DengeError]]:
    yield error
    for child in error.__subclasses__():
        yield from kinds(child)


def made(kind: type[DengeError]) -> DengeError:
    """An error, whatever its constructor takes."""
    error = kind.__new__(kind)
    Exception.__init__(error, "what is wrong")
    error.__dict__.update(presented=False, retry_after=1.0)
    return error


def test_every_error_has_a_code() -> None:
    without = [kind for kind in kinds(DengeError) if public_error(made(kind)).status not in CODES]

    assert without == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("wrong", "inputs"), StatusCode.INVALID_ARGUMENT),
        (TooLarge("too large"), StatusCode.RESOURCE_EXHAUSTED),
        (Unauthenticated("a key"), StatusCode.UNAUTHENTICATED),
        (Forbidden("the token"), StatusCode.PERMISSION_DENIED),
        (NotFound("no such model"), StatusCode.NOT_FOUND),
        (NotReady("not loaded"), StatusCode.UNAVAILABLE),
        (Overloaded("full"), StatusCode.UNAVAILABLE),
        (NotSupported("not here"), StatusCode.UNIMPLEMENTED),
    ],
)
def test_the_client_is_told_what_is_wrong(error: Exception, code: StatusCode) -> None:
    failed = failure(error)

    assert failed.code is code
    assert failed.message == str(error)


@pytest.mark.parametrize("error", [InferenceFailed("a secret"), KeyError("a secret")])
def test_an_internal_error_tells_no_details(error: Exception) -> None:
    failed = failure(error)

    assert (failed.code, failed.message) == (StatusCode.INTERNAL, INTERNAL.message)


def test_an_overload_says_when_to_try_again() -> None:
    assert failure(Overloaded("full", retry_after=2.5)).metadata == (("grpc-retry-pushback-ms", "2500"),)
