"""The HL7 v2 door as a process of its own: frames in, acknowledgments out, everything through the ledger."""

from __future__ import annotations

import asyncio
import logging
import signal

from healthbrain import exchange
from healthbrain.runtime import Platform
from healthbrain.serve.process import die_with_parent, settle_memory
from healthbrain.settings import Settings, load

log = logging.getLogger("healthbrain.mllp")


async def run(settings: Settings) -> None:
    """Serve until SIGTERM; messages under way are finished and acknowledged first."""
    stop = asyncio.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sig, stop.set)
    async with Platform(settings) as platform:
        settle_memory()
        server = await exchange.serve_mllp(
            settings.host,
            settings.mllp_port,
            exchange.mllp_handler(platform.ledger, platform.clock),
            max_frame=settings.max_body,
        )
        await stop.wait()
        await server.stop()


def main() -> None:
    """Process entry."""
    die_with_parent(signal.SIGTERM)
    settings = load()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(run(settings))


if __name__ == "__main__":
    main()
