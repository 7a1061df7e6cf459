"""The confirmation that is sent for each new order: what happens outside, after the fact.

The outbox is a folder, from which whoever sends mails takes them. An event may be handled twice,
after a crash, so a mail is named after what it is an effect of: the second is the first again.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from diptych import Reaction, RecordedEvent, effect_id
from examples.orders.order import OrderCreated, OrderEvent, order_events


@dataclass(frozen=True, slots=True)
class Outbox:
    """Mails in a folder, which is made with the first of them."""

    folder: Path

    async def confirm(self, event: OrderEvent, recorded: RecordedEvent) -> None:
        if isinstance(event, OrderCreated):
            name = f"{effect_id('confirmations', recorded)}.txt"
            text = f"Order {event.order_id} of {recorded.at:%d %B %Y}: we have received it.\n"
            await asyncio.to_thread(self._put, name, text)

    def _put(self, name: str, text: str) -> None:
        """Whole or not at all: whoever takes mails sees no half of one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f".{name}"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(self.folder / name)


def confirmations(folder: Path) -> Reaction[OrderEvent]:
    """For orders that are created from now on. One that fails keeps back its own order only."""
    outbox = Outbox(folder)
    return Reaction("confirmations", events=[order_events], handle=outbox.confirm, on_error="park")
