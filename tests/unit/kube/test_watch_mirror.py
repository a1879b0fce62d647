"""The reflector's rules without a network: a server that keeps a log of revisions, a clock that is a number, and every way in which a watch goes wrong."""

import itertools
import random

import pytest

from weirkeeper.kube.decode import Bookmark, Changed, Item, Page
from weirkeeper.kube.errors import BadRequest, Forbidden, Gone, NotFound, ServerFailure, TooManyRequests, Unreachable
from weirkeeper.kube.mirror import (
    Absent,
    Applied,
    Back,
    Deleted,
    Follow,
    Listed,
    Lost,
    Mirror,
    Pace,
    Pages,
    Pause,
    Peek,
    Stream,
    Unreadable,
)
from weirkeeper.kube.types import KubeObject, Metadata
from weirkeeper.model.ids import Ref

PACE = Pace()
FAULTS = (
    "none", "gone", "gone event", "gone token", "too many", "server failure", "cut", "stall", "duplicates", "only bookmarks", "restored", "second", "slow",
    "forbidden", "missing", "no stream", "dies before sync",
)  # fmt: skip


def ref(namespace, name):
    return Ref(kind="Service", namespace=namespace, name=name)


def item(name, version, *, fits=True):
    made = KubeObject(kind="Service", metadata=Metadata(name=name, namespace="shop")) if fits else None
    return Item(name, "shop", "", str(version), made, "" if fits else "spec.ports: no")


def mirror(pace=PACE, seed=1):
    return Mirror(ref, pace, random.Random(seed).random)


def changed(name, version, kind="MODIFIED"):
    return Changed(kind, item(name, version))


def synced(*names, at=10):
    """A mirror that has listed these, and follows."""
    made = mirror()
    assert isinstance(made.next(0.0), Stream)
    made.opened(0.0)
    for name in names:
        made.event(changed(name, 1, "ADDED"), 0.0)
    made.event(Bookmark(str(at), ends_initial=True), 0.0)
    return made


def kinds(news):
    return [type(one).__name__ for one in news]


def test_the_first_list_is_streamed_and_ends_with_the_annotated_bookmark():
    made = mirror()
    assert isinstance(made.next(0.0), Stream)
    assert kinds(made.opened(0.0)) == []
    assert kinds(made.event(changed("a", 3, "ADDED"), 0.0)) == ["Applied"]
    assert made.listing
    assert kinds(made.event(Bookmark("9", ends_initial=True), 0.0)) == ["Listed"]
    assert (made.listing, made.resource_version, made.held) == (False, "9", 1)


def test_a_server_that_refuses_streams_is_listed_in_pages_at_once_and_for_good():
    for refusal in (BadRequest("no", status=400), Forbidden("no", status=403), NotFound("no", status=404)):
        made = mirror()
        made.next(0.0)
        assert made.failed(refusal, 0.0) == []
        assert isinstance(made.next(0.0), Pages)
        assert kinds(made.page(Page((item("a", 1),), "5", continues=False), 0.0)) == ["Applied", "Listed"]
        made.ended(0.0)
        follow = made.next(0.0)
        assert isinstance(follow, Follow)
        assert follow.resource_version == "5"
        made.failed(Gone("old", status=410), 1.0)
        assert isinstance(made.next(made.next(1.0).seconds + 1.0), Pages)


def test_a_server_that_ignores_what_it_does_not_know_is_noticed_by_a_plain_bookmark_or_by_silence():
    made = mirror()
    made.next(0.0)
    made.event(changed("a", 3, "ADDED"), 0.0)
    made.event(Bookmark("9", ends_initial=False), 60.0)
    assert made.over
    assert isinstance(made.next(60.0), Pages)
    quiet = mirror()
    quiet.next(0.0)
    assert quiet.due(quiet.deadline) == []
    assert isinstance(quiet.next(10.0), Pages)


def test_a_refusal_that_lists_share_leaves_streaming_as_it_was():
    made = mirror()
    made.next(0.0)
    made.failed(Forbidden("no", status=403), 0.0)
    assert isinstance(made.next(0.0), Pages)
    assert kinds(made.failed(Forbidden("no", status=403), 0.0)) == ["Lost"]
    assert isinstance(made.next(0.0), Pause)
    assert isinstance(made.next(5.0), Stream)


@pytest.mark.parametrize("error", [Unreachable("away"), Forbidden("no", status=403), NotFound("no", status=404)])
def test_nothing_that_fails_says_that_anything_is_gone(error):
    made, said, now = synced("a", "b"), [], 0.0
    for _ in range(40):
        action = made.next(now)
        if isinstance(action, Pause):
            now += action.seconds
        else:
            said += made.failed(error, now)
    assert kinds(said) == ["Lost"]
    assert made.held == 2
    assert made.lists <= now / 4 + 1


def test_a_watch_that_was_cut_is_resumed_at_once_without_a_word():
    made = synced("a")
    made.due(40.0)
    assert isinstance(made.next(40.0), Follow)
    made.opened(40.0)
    made.event(changed("a", 12), 41.0)
    assert made.failed(Unreachable("cut", reason="Reset"), 42.0) == []
    assert made.next(42.0).resource_version == "12"


def test_a_watch_that_does_not_end_when_it_should_is_dead_within_45_seconds():
    made = synced("a")
    made.due(40.0)
    action = made.next(40.0)
    assert action.seconds < made.deadline - 40.0 <= 45.0
    made.opened(40.0)
    assert made.due(made.deadline) == []
    assert isinstance(made.next(made.deadline), Follow)


def test_410_means_a_list_that_tells_only_what_is_missing_or_new():
    made = synced("a", "b")
    assert made.event(Gone("too old", status=410), 20.0) == []
    assert made.over
    now = 20.0 + made.next(20.0).seconds
    assert isinstance(made.next(now), Stream)
    assert made.event(changed("a", 1, "ADDED"), now) == []
    news = made.event(changed("c", 30, "ADDED"), now) + made.event(Bookmark("31", ends_initial=True), now)
    assert news == [Applied(ref("shop", "c"), item("c", 30).object, True), Absent(ref("shop", "b")), Listed()]


def test_a_list_that_lacks_something_is_followed_by_others():
    made = synced("a", "b")
    made.relist()
    made.due(20.0)
    made.next(20.0)
    assert made.event(Bookmark("11", ends_initial=True), 20.0) == [
        Absent(ref("shop", "a")),
        Absent(ref("shop", "b")),
        Listed(),
    ]
    lists, now = [], 20.0
    while now < 300.0:
        now = made.deadline
        assert made.due(now) == []
        match made.next(now):
            case Stream():
                lists.append(now)
                assert made.event(Bookmark("11", ends_initial=True), now) == [Listed()]
            case Follow():
                made.opened(now)
            case Pause(seconds):
                now += seconds
    assert lists == [30.0, 40.0, 60.0, 100.0]


def test_an_unchanged_list_tells_nothing():
    made = synced("a", "b")
    made.relist()
    assert made.due(20.0) == []
    made.next(20.0)
    assert made.event(changed("a", 1, "ADDED"), 20.0) == []
    assert made.event(changed("b", 1, "ADDED"), 20.0) == []
    assert made.event(Bookmark("10", ends_initial=True), 20.0) == [Listed()]


def test_repeated_events_are_told_once_and_do_not_bring_back_the_dead():
    made = synced("a")
    assert kinds(made.event(changed("a", 11), 1.0)) == ["Applied"]
    assert made.event(changed("a", 11), 1.0) == []
    assert not made.over
    assert made.event(changed("a", 12, "DELETED"), 1.0) == [Deleted(ref("shop", "a"))]
    assert made.event(changed("a", 12, "DELETED"), 1.0) == []
    assert not made.over
    assert made.event(changed("a", 11), 1.0) == []
    assert made.over, "what does not fit is settled by a list"


def test_within_a_streamed_list_the_newest_word_on_an_object_stands():
    made = mirror()
    made.next(0.0)
    made.event(changed("a", 5, "ADDED"), 0.0)
    made.event(changed("a", 8), 0.0)
    assert made.event(changed("a", 5, "ADDED"), 0.0) == []
    made.event(changed("b", 9, "DELETED"), 0.0)
    assert made.event(changed("b", 7, "ADDED"), 0.0) == []
    made.event(Bookmark("9", ends_initial=True), 0.0)
    assert made.held == 1


def test_a_bookmark_that_goes_back_is_a_restored_server_and_its_list_is_believed():
    made = synced("a", "b", at=100)
    made.event(Bookmark("50", ends_initial=False), 10.0)
    assert made.over
    assert isinstance(made.next(10.0), Stream)
    made.event(changed("a", 1, "ADDED"), 10.0)
    assert made.event(Bookmark("51", ends_initial=True), 10.0) == [Absent(ref("shop", "b")), Listed()]
    assert made.resource_version == "51"


def test_silent_watches_are_followed_by_a_look_at_the_servers_version():
    made = synced("a", at=100)
    made.due(40.0)
    made.next(40.0)
    made.opened(40.0)
    made.ended(70.0)
    assert isinstance(made.next(70.0), Peek)
    made.peeked("60", 70.0)
    assert isinstance(made.next(74.0), Stream)


def test_an_object_that_does_not_fit_is_told_and_counts_as_there():
    made = synced("a")
    assert made.event(Changed("MODIFIED", item("a", 11, fits=False)), 1.0) == [
        Unreadable(ref("shop", "a"), "spec.ports: no")
    ]
    assert made.held == 1


def test_a_list_without_a_version_or_without_an_end_is_no_list():
    for answer in ("", "0"):
        made = mirror()
        made.next(0.0)
        made.failed(BadRequest("no", status=400), 0.0)
        made.next(0.0)
        assert kinds(made.page(Page((), answer, continues=False), 0.0)) == ["Lost"]
    made = synced("a")
    made.relist()
    made.due(1.0)
    made.next(5.0)
    assert kinds(made.ended(6.0)) == ["Lost"]
    assert made.held == 1


def test_429_waits_as_long_as_the_server_asks():
    made = synced("a")
    made.due(40.0)
    made.next(40.0)
    assert made.failed(TooManyRequests("slow down", status=429, retry_after=9.0), 40.0) == []
    assert 9.0 <= made.next(40.0).seconds <= 9.3


# The law: whatever goes wrong on the way, in the end the mirror holds what the server has, and everybody who listened knows it.


class Server:
    """A log of revisions; what a watch or list answers is worked out from it. It may be set back to an earlier state, as a restored etcd is."""

    def __init__(self, chance):
        self.chance, self.objects, self.log, self.revision, self.compacted = chance, {}, [], 10, 0

    def touch(self):
        self.revision += self.chance.randint(1, 3)
        name = self.chance.choice("abcdefgh")
        gone = name in self.objects and self.chance.random() < 0.4
        kind = "DELETED" if gone else "MODIFIED" if name in self.objects else "ADDED"
        if gone:
            del self.objects[name]
        else:
            self.objects[name] = self.revision
        self.log.append((self.revision, changed(name, self.revision, kind)))

    def restore(self):
        self.revision -= self.chance.randint(0, 12)
        self.log = [row for row in self.log if row[0] <= self.revision]
        self.objects = {}
        for revision, said in self.log:
            self.objects.pop(said.item.name, None)
            if said.type != "DELETED":
                self.objects[said.item.name] = revision

    def since(self, version):
        return [said for revision, said in self.log if revision > version]


class Story:
    """One random history: requests are answered at once, but each may meet a fault."""

    def __init__(self, seed, faults):
        self.chance = random.Random(seed)
        self.server, self.mirror, self.now = Server(self.chance), mirror(seed=seed), 0.0
        self.faults, self.cache, self.lost, self.silent = faults, {}, False, 0
        self.list_times = []

    def tell(self, news):
        for one in news:
            match one:
                case Applied():
                    assert self.cache.get(one.ref) != one.object, "told without a change"
                    self.cache[one.ref] = True
                case Deleted() | Absent():
                    assert one.ref in self.cache, "told without a change"
                    del self.cache[one.ref]
                case Lost():
                    assert not self.lost
                    self.lost = True
                case Back():
                    assert self.lost
                    self.lost = False

    def step(self, fault):
        action = self.mirror.next(self.now)
        if isinstance(action, Pause):
            self.now += action.seconds
            return
        if isinstance(action, Stream | Peek) or (
            isinstance(action, Pages) and (not self.list_times or self.list_times[-1] < self.now)
        ):
            self.list_times.append(self.now)
        failure = {
            "too many": TooManyRequests("", status=429, retry_after=self.chance.choice([None, 2.0])),
            "server failure": ServerFailure("", status=500),
            "forbidden": Forbidden("", status=403),
            "missing": NotFound("", status=404),
            "dies before sync": Unreachable("", reason="Reset"),
        }.get(fault)
        if failure is not None:
            self.tell(self.mirror.failed(failure, self.now))
        elif isinstance(action, Follow):
            self.follow(action, fault)
        elif isinstance(action, Peek):
            self.tell(self.mirror.peeked(str(self.server.revision), self.now))
            self.tell(self.mirror.ended(self.now))
        else:
            self.list(action, fault)

    def list(self, action, fault):
        if fault == "no stream" and isinstance(action, Stream):
            self.tell(self.mirror.failed(BadRequest("", status=400), self.now))
            return
        if fault == "slow":
            self.now += self.chance.uniform(0, 9)
        rows = [item(name, version) for name, version in self.server.objects.items()]
        self.chance.shuffle(rows)
        stop = self.chance.randint(0, len(rows)) if fault in ("cut", "stall", "gone token") else None
        if isinstance(action, Pages):
            self.pages(rows, stop, fault)
        else:
            self.stream(rows, stop, fault)

    def pages(self, rows, stop, fault):
        version = str(self.server.revision)
        pages = [rows[at : at + 3] for at in range(0, len(rows), 3)] or [[]]
        for number, page in enumerate(pages):
            if stop is not None and number * 3 >= stop:
                error = Gone("", status=410) if fault == "gone token" else Unreachable("")
                self.tell(self.mirror.failed(error, self.now))
                return
            self.server.touch()  # between pages time goes on; the pages show one moment
            self.tell(self.mirror.page(Page(tuple(page), version, number + 1 < len(pages)), self.now))
        self.tell(self.mirror.ended(self.now))

    def stream(self, rows, stop, fault):
        self.tell(self.mirror.opened(self.now))
        version = self.server.revision
        for row in rows[:stop]:
            self.say(Changed("ADDED", row), fault)
        if stop is not None:
            self.now = max(self.now, self.mirror.deadline)
            self.tell(self.mirror.due(self.now) if fault == "stall" else self.mirror.failed(Unreachable(""), self.now))
            return
        self.say(Bookmark(str(version), ends_initial=True), fault)
        assert not self.mirror.listing
        self.now += self.chance.uniform(0, 3)
        for _ in range(self.chance.randint(0, 3)):
            self.server.touch()
        for said in self.server.since(version):
            self.say(said, fault)
            if self.mirror.over:
                return
        self.now = self.mirror.deadline
        self.tell(self.mirror.due(self.now))

    def follow(self, action, fault):
        at = int(action.resource_version)
        if fault == "gone" or at < self.server.compacted:
            self.tell(self.mirror.failed(Gone("", status=410), self.now))
            return
        self.tell(self.mirror.opened(self.now))
        if fault == "gone event":
            self.tell(self.mirror.event(Gone("", status=410), self.now))
            return
        for _ in range(self.chance.randint(0, 4)):
            self.server.touch()
        if fault == "restored":
            self.server.restore()
        events = [] if fault == "only bookmarks" else self.server.since(at)
        for said in events[: self.chance.randint(0, len(events)) if fault in ("cut", "stall") else None]:
            self.say(said, fault)
            if self.mirror.over:
                return
        self.finish(action, fault, at, sent=fault != "only bookmarks")

    def finish(self, action, fault, at, *, sent):
        if fault == "stall":
            self.now = self.mirror.deadline
            self.tell(self.mirror.due(self.now))
        elif fault == "cut":
            self.tell(self.mirror.failed(Unreachable(""), self.now))
        else:
            self.now += 1.0 if fault == "second" else action.seconds
            # a watch sends bookmarks only past where it began
            if self.server.revision > at and sent:
                self.say(Bookmark(str(self.server.revision), ends_initial=False), fault)
            if not self.mirror.over:
                self.tell(self.mirror.ended(self.now))

    def say(self, said, fault):
        for _ in range(2 if fault == "duplicates" and not isinstance(said, Bookmark) else 1):
            if not self.mirror.over:
                self.tell(self.mirror.event(said, self.now))

    def in_step(self):
        return {one.name for one in self.cache} == set(self.server.objects) and {
            one.name: version for one, version in self.mirror._held.items()
        } == self.server.objects


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(25))
def test_after_any_history_the_mirror_holds_what_the_server_has(fault, seed):
    story = Story(seed, (fault, "none"))
    for _ in range(60):
        story.step(story.chance.choice((fault, "none")))
    for _ in range(400):
        if story.in_step() and not story.mirror.listing and not story.lost:
            break
        story.step("none")
    assert story.in_step()
    assert not story.lost
    gaps = [later - earlier for earlier, later in itertools.pairwise(story.list_times)]
    assert all(gap >= PACE.list_gap - 1e-6 for gap in gaps)


@pytest.mark.parametrize("seed", range(100))
def test_after_any_mixture_of_faults_the_mirror_holds_what_the_server_has(seed):
    story = Story(seed, FAULTS)
    for _ in range(120):
        story.step(story.chance.choice(FAULTS))
    for _ in range(400):
        if story.in_step() and not story.lost:
            break
        story.step("none")
    assert story.in_step()
    assert not story.lost
