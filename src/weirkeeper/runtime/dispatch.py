"""From an outcome to the engines: one mailbox for each, newest wins.

Comes in: outcomes, one after the other. Goes out: to each engine, all items that are wished and the changes since it last asked. A slow engine never
holds up the loop or another engine: what it has not fetched yet is merged, and grows no larger than the number of items. Used on the loop only.
"""

import asyncio
from collections.abc import Mapping

from weirkeeper.providers.base import EngineItem, ItemChanges, ItemKey
from weirkeeper.reconcile import Outcome


class Mailbox:
    """What one engine should have, as `Desired`. One engine reads it at a time; one that begins anew asks for `items` first."""

    def __init__(self) -> None:
        self._items: dict[ItemKey, EngineItem] = {}
        self._changes: dict[ItemKey, EngineItem | None] = {}
        self._news = asyncio.Event()
        self._known = False

    def put(self, changes: ItemChanges) -> None:
        """Merge changes; the newest of each item wins."""
        if not changes:
            return
        for key, item in changes.items():
            if item is None:
                self._items.pop(key, None)
            else:
                self._items[key] = item
        self._changes.update(changes)
        self._news.set()

    def replace(self, items: Mapping[ItemKey, EngineItem]) -> None:
        """Wish these items and no others."""
        gone: dict[ItemKey, EngineItem | None] = {key: None for key in self._items if key not in items}
        self.put({**items, **gone})

    def items(self) -> Mapping[ItemKey, EngineItem]:
        """All items that are wished now. What changes from here on is what `changed` answers."""
        self._changes = {}
        self._news.clear()
        return dict(self._items)

    def known(self) -> None:
        """What is wished is all here, be it nothing: whoever waits for the first changes hears of it."""
        if not self._known:
            self._known = True
            self._news.set()

    async def changed(self) -> ItemChanges:
        """The changes since the last call; waits until there are any. The first answer may be empty: then nothing is wished."""
        await self._news.wait()
        self._news.clear()
        changes, self._changes = self._changes, {}
        return changes

    def wished(self) -> Mapping[ItemKey, EngineItem]:
        """All items that are wished now, to look at; `changed` goes on as before."""
        return self._items

    def item(self, key: ItemKey) -> EngineItem | None:
        """The item that is wished now."""
        return self._items.get(key)

    def __len__(self) -> int:
        return len(self._items)


class Dispatcher:
    """The mailboxes of all providers."""

    def __init__(self, providers: tuple[str, ...]) -> None:
        self.mailboxes: Mapping[str, Mailbox] = {name: Mailbox() for name in providers}
        self.stand_in = False
        """Whether the items are those of a snapshot."""

    def send(self, outcome: Outcome) -> None:
        """Put what changed into the mailboxes. The first outcome is everything: what stood in for it until then goes."""
        for provider, changes in outcome.items.items():
            if self.stand_in:
                self.mailboxes[provider].replace({key: item for key, item in changes.items() if item is not None})
            else:
                self.mailboxes[provider].put(changes)
        self.stand_in = False
        for mailbox in self.mailboxes.values():
            mailbox.known()

    def lend(self, items: Mapping[str, Mapping[ItemKey, EngineItem]]) -> None:
        """Let these items stand in until the first outcome is there."""
        self.stand_in = True
        for provider, many in items.items():
            if provider in self.mailboxes:
                self.mailboxes[provider].replace(many)
