"""`Operations`: what an operator does with a running system; `app.operations`."""

from collections.abc import Sequence
from typing import Any

from diptych.errors import ConfigurationError, NotAView, UnknownReaction
from diptych.flow.acts import ReactionActs
from diptych.flow.side import FlowSide
from diptych.flow.status import ReactionStatus
from diptych.read.audit import Audited, HowToAudit, audit
from diptych.read.discarding import Discarded, discard, discarded
from diptych.read.explanation import Explanation
from diptych.read.group import members
from diptych.read.model import ReadModel
from diptych.read.parked import ParkedDetails, ParkedKey, parked, parked_key
from diptych.read.pausing import pause, resume
from diptych.read.progress import OnProgress
from diptych.read.rebuild import HowToRebuild, Rebuilt, rebuild
from diptych.read.refold import OpenScratch
from diptych.read.rekey import RebuiltKey, key_of, rebuild_key
from diptych.read.retrying import Retried, retry_all, retry_key
from diptych.read.revisions import RevisionStatus, drop_revision, revisions
from diptych.read.side import ReadSide
from diptych.read.view import View


class Operations:
    """What is done with views and reactions that run: `app.operations`. The `diptych` command
    does the same.

    It needs an open application, which may be one that does not project itself (`project=False`).

    Everything here works beside any number of other processes on the same databases.
    """

    def __init__(
        self,
        read: ReadSide,
        flow: FlowSide | None = None,
        *,
        scratch: OpenScratch | None = None,
    ) -> None:
        self._read, self._flow, self._scratch = read, flow, scratch

    @property
    def reaction_names(self) -> tuple[str, ...]:
        """The reactions that the application has."""
        return tuple(self._flow.reactions) if self._flow else ()

    async def reactions(self) -> tuple[ReactionStatus, ...]:
        """How each reaction is, whichever process runs it."""
        return await self._flow.statuses() if self._flow else ()

    def reaction(self, name: str) -> ReactionActs:
        """What can be done with a reaction: retry, discard, pause.

        Raises: UnknownReaction: the application has no reaction of this name.
        """
        known = self._flow.reactions if self._flow else {}
        if self._flow is None or name not in known:
            raise UnknownReaction(name, known=known)
        return ReactionActs(name, self._flow)

    async def why(self, view: str) -> Explanation:
        """Why a view, or projection, is where it is, and what to do about it: the event and error
        that stop it, who holds it and whether they live, who has it locked, what cannot be reached.

        It changes nothing. Where the view is behind it takes a second, to see if it gets on.

        Raises: UnknownView: the application has no view of this name.
        """
        return await self._read.why(view)

    async def rebuild(
        self,
        views: Sequence[str],
        *,
        full_speed: bool = False,
        only_if_equal: bool = False,
        on_progress: OnProgress | None = None,
    ) -> tuple[Rebuilt, ...]:
        """Build views and projections again from the beginning of the log, all of them by one
        reading, beside those that serve; compare them; let them serve. No query notices.

        It leaves half of the time to live work while there is any, unless at `full_speed`. With
        `only_if_equal` a view that differs from the one that serves, though its rule is the same,
        does not serve. What was cut off goes on where it was when it is called again. A view is
        rebuilt with all views over it, or under it.

        Raises:
            UnknownView: there is no such view or projection.
            RebuildRunning: another process that is alive builds one of them.
            ProjectionStopped: an event cannot be applied; what was built so far stays.
            StoreError: a database cannot do it, or was away for a minute; what was built so far
                stays. One that is back sooner does not end the rebuild.
        """
        models = tuple(dict.fromkeys(self._read.named(name) for name in views))
        how = HowToRebuild(full_speed, only_if_equal, on_progress)
        return await rebuild(models, means=self._read.means, how=how)

    async def rebuild_key(
        self,
        view: str,
        key: object,
        *,
        tenant: str = "",
        on_progress: OnProgress | None = None,
    ) -> RebuiltKey:
        """Make one row of a view anew from the log, while the view goes on: its value, or text, or
        a tuple of them for a key of several fields. The whole log is read, for the events of the
        key.

        What is parked for the key stays parked. Views over the view are not touched: rebuild their
        rows by their own keys.

        Raises:
            UnknownView, NotAView: there is no view of this name.
            InvalidInput: it cannot be a key of the view.
            ViewNotReady: the view was never complete. CheckpointDiverged: it is of another log.
            ProjectionStopped: an event cannot be applied that could be once.
            ViewChanging: operators change its rows all the time.
            StoreError: a database cannot do it; nothing was changed.
        """
        member, model = self._view(view)
        return await rebuild_key(
            member,
            key_of(member, key, tenant=tenant),
            model=model,
            means=self._read.means,
            scratch=self._opens_scratch,
            on_progress=on_progress,
        )

    async def audit(
        self,
        view: str,
        *,
        sample: int | None = None,
        values: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Audited:
        """Compare all rows of a view, or a random sample, with what the log says they must be.

        It works in bounded memory, beside live work, which it does not hold up; what it finds are
        differences and never delays. A temporary file holds the rows anew. A sample of a view over
        a view saves only the comparing. Findings name fields, and have what is in them only if
        `values` are asked for.

        Raises: as `rebuild_key`.
        """
        member, model = self._view(view)
        how = HowToAudit(sample, values, on_progress)
        means, scratch = self._read.means, self._opens_scratch
        return await audit(member, model, means=means, scratch=scratch, how=how)

    async def revisions(self) -> tuple[RevisionStatus, ...]:
        """All revisions in the read database, of this code and of any other: how large and how old
        they are, what they are for, and which processes use them. Rows are counted, which takes a
        while where they are many.

        Raises: StoreError.
        """
        means = self._read.means
        return await revisions(self._read.wanted, database=means.database)

    async def drop_revision(self, revision: int) -> None:
        """Delete the tables of a revision that nobody needs.

        Raises:
            UnknownRevision: there is none with this number.
            RevisionInUse: this code reads it, or a process that is alive projects, builds or reads
                it, or a query that began before may still read it.
            StoreError.
        """
        means = self._read.means
        await drop_revision(revision, self._read.wanted, database=means.database)

    async def parked(self, view: str) -> tuple[ParkedKey, ...]:
        """The keys of a view whose events are set aside, with why, in the order of their events.

        Raises: UnknownView.
        """
        return await parked(self._read.named(view), self._read.means)

    async def parked_key(self, view: str, key: object, *, tenant: str = "") -> ParkedDetails:
        """One of them with its events. A key may be given as text: `6f1c…`, or a JSON array of its
        fields where it has several.

        Raises: UnknownView; NotParked; InvalidInput: it is no key of the view.
        """
        return await parked_key(self._read.named(view), key, tenant=tenant, means=self._read.means)

    async def retry(self, view: str, key: object = None, *, tenant: str = "") -> Retried:
        """Apply what is parked under a key, in order, all of it or nothing. Without a key: under
        every key of every tenant, and then start the view if an event has stopped it.

        What fails again stays parked. Whoever projects a view that is started goes on within a
        second; it need not be this process.

        Raises: UnknownView, NotParked, InvalidInput; StillParked: the key that was named failed
            again; CheckpointDiverged: the view shows what the log does not have; ViewChanging: a
            rebuild took its place meanwhile.
        """
        model, means = self._read.named(view), self._read.means
        if key is None:
            return await retry_all(model, means)
        return await retry_key(model, key, tenant=tenant, means=means)

    async def discard(self, view: str, key: object, *, reason: str, tenant: str = "") -> Discarded:
        """Never apply what is parked under a key. Its row stays as it was before the event that
        failed, and gets the events that come from now on. That is recorded for ever.

        Raises: UnknownView, NotParked; InvalidInput: it is no key of the view, or no reason;
            ViewChanging: a rebuild took its place meanwhile.
        """
        model, means = self._read.named(view), self._read.means
        return await discard(model, key, tenant=tenant, reason=reason, means=means)

    async def discarded(self, view: str) -> tuple[Discarded, ...]:
        """All that was ever discarded of a view. Raises: UnknownView."""
        return await discarded(self._read.named(view), self._read.means)

    async def pause(self, view: str, *, reason: str = "") -> bool:
        """Let nobody project a view, in any process, until it is resumed; restarts included.

        When this returns, nothing is committed for it any more. Queries are answered from what is
        there; those that need more get ViewPaused. False if it was paused already: then the first
        reason stands. A view is paused with all views over it, or under it.

        Raises: UnknownView.
        """
        model, means = self._read.named(view), self._read.means
        return await pause(means.database, model.name, reason=reason, at=means.clock.now())

    async def resume(self, view: str) -> bool:
        """Let a view be projected again; False if it was not paused. Raises: UnknownView."""
        return await resume(self._read.means.database, self._read.named(view).name)

    def _view(self, name: str) -> tuple[View[Any], ReadModel]:
        """A view, and what it is projected as. Raises: UnknownView, NotAView."""
        model = self._read.named(name)
        found = next(each for each in members(model) if each.name == name)
        if not isinstance(found, View):
            raise NotAView(name)
        return found, model

    @property
    def _opens_scratch(self) -> OpenScratch:
        if self._scratch is None:
            raise ConfigurationError("nothing was said of where to fold the log anew: scratch=")
        return self._scratch
