"""The start and the stop of the application, as ASGI asks for them."""

import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from starlette.types import Receive, Send

from models.errors import DengeError
from service.http.opening import report_failure

Running = Callable[[], AbstractAsyncContextManager[None]]
"""Makes the context in which the application runs."""


async def run_lifespan(running: Running, receive: Receive, send: Send) -> None:
    """Run the application from the start of the server to its stop.

    An expected failure of the start is printed in one line, in place of a traceback.

    Args:
        running: entered at the start, and left at the stop.
        receive, send: of the scope of the lifespan.
    """
    await receive()
    state = "startup"
    try:
        async with running():
            await send({"type": "lifespan.startup.complete"})
            state = "shutdown"
            await receive()
    except BaseException as error:
        message = traceback.format_exc()
        if state == "startup" and isinstance(error, DengeError | OSError):
            report_failure(error)
            message = ""
        await send({"type": f"lifespan.{state}.failed", "message": message})
        raise
    await send({"type": "lifespan.shutdown.complete"})
