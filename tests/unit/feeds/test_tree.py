"""A folder looked at: only what changed is said, bad news waits, and what cannot be read takes nothing away."""

import os

import pytest

from weirkeeper.controllers.base import COMMON_KINDS
from weirkeeper.feeds import tree as tree_module
from weirkeeper.feeds.base import FILE, Cause
from weirkeeper.feeds.decode import Decoder
from weirkeeper.feeds.tree import BROKEN_HOLD, REMOVAL_HOLD, FileTree
from weirkeeper.model.finding import Reason

KINDS = {(k.group, k.kind): k for k in COMMON_KINDS}


def service(name, port=80):
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"


class Folder:
    def __init__(self, root):
        self.root = root
        self.tree = FileTree(root, Decoder(KINDS))
        self.now = 0.0

    def save(self, name, text):
        """Atomically, as good editors do."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (self.root / ".half").write_text(text)
        os.rename(self.root / ".half", path)
        return str(path)

    def scan(self):
        return said(self.tree.scan(self.now))

    def touch(self, *names):
        return said(self.tree.touch([str(self.root / name) for name in names], self.now))

    def later(self, seconds):
        self.now += seconds
        return said(self.tree.look_again(self.now))


def said(seen):
    found = {}
    for one in seen:
        code = one.problem.reason if one.problem else None
        port = one.object.spec.ports[0].port if one.object is not None else None
        found[one.ref.name] = (one.cause, port, code) if code else (one.cause, port)
    return found


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_first_scan_reads_all_and_the_second_nothing(folder):
    folder.save("a.yaml", service("a") + "---\n" + service("b"))
    folder.save("sub/c.yml", service("c"))
    for ignored in (".hidden.yaml", "a.yaml~", "#a.yaml#", "kustomization.yaml", "notes.txt", "x.yaml.swp"):
        folder.save(ignored, "a: [")
    folder.save(".git/d.yaml", service("d"))
    folder.save("chart/Chart.yaml", "name: x")
    folder.save("chart/templates/e.yaml", "a: {{ .Values }}")
    assert folder.scan() == {name: (Cause.ADDED, 80) for name in "abc"}
    assert folder.scan() == {}
    assert folder.touch("chart/templates/e.yaml", ".git/d.yaml", "a.yaml~") == {}


def test_one_edit_reads_one_file(folder, monkeypatch):
    for number in range(50):
        folder.save(f"{number}.yaml", service(f"s{number}"))
    folder.scan()
    reads = []
    real = tree_module.read_file
    monkeypatch.setattr(tree_module, "read_file", lambda *args: reads.append(args[1]) or real(*args))
    folder.save("7.yaml", service("s7", 81))
    assert folder.touch("7.yaml", "8.yaml", "9.yaml") == {"s7": (Cause.CHANGED, 81)}
    assert reads == ["7.yaml"]


def test_a_removal_in_a_renamed_file_is_believed_at_once(folder):
    folder.save("a.yaml", service("a") + "---\n" + service("b"))
    folder.scan()
    folder.save("a.yaml", service("a"))
    assert folder.touch("a.yaml") == {"b": (Cause.DELETED, None)}


def test_a_file_that_is_written_in_place_is_not_believed_half(folder):
    path = folder.root / "a.yaml"
    path.write_text(service("a") + "---\n" + service("b"))
    folder.scan()
    path.write_text("")
    assert folder.touch("a.yaml") == {}
    assert folder.tree.due == pytest.approx(REMOVAL_HOLD)
    path.write_text(service("a", 81) + "---\n" + service("b"))
    assert folder.touch("a.yaml") == {"a": (Cause.CHANGED, 81)}
    assert folder.tree.due is None
    path.write_text(service("b"))
    assert folder.touch("a.yaml") == {}
    assert folder.later(REMOVAL_HOLD) == {"a": (Cause.DELETED, None)}


def test_delete_and_write_again_is_no_deletion(folder):
    folder.save("a.yaml", service("a"))
    folder.scan()
    (folder.root / "a.yaml").unlink()
    assert folder.touch("a.yaml") == {}
    folder.save("a.yaml", service("a", 81))
    assert folder.touch("a.yaml") == {"a": (Cause.CHANGED, 81)}
    assert folder.later(1) == {}


def test_a_deleted_file_takes_its_objects_after_the_hold(folder):
    folder.save("a.yaml", service("a"))
    folder.scan()
    (folder.root / "a.yaml").unlink()
    assert folder.touch("a.yaml") == {}
    assert folder.later(REMOVAL_HOLD / 2) == {}
    assert folder.later(REMOVAL_HOLD) == {"a": (Cause.DELETED, None)}
    assert folder.tree.files == 0


def test_a_broken_document_keeps_what_the_file_held(folder):
    folder.save("a.yaml", service("a") + "---\n" + service("b"))
    folder.save("c.yaml", service("c"))
    folder.scan()
    folder.save("a.yaml", service("a", 81) + "---\nkind: [Service\n")
    assert folder.touch("a.yaml") == {}
    assert folder.later(BROKEN_HOLD) == {
        "a": (Cause.CHANGED, 81),
        "a.yaml:6": (Cause.ADDED, None, Reason.INVALID_SYNTAX),
    }
    folder.save("a.yaml", service("a", 81) + "---\n" + service("b", 82))
    assert folder.touch("a.yaml") == {"b": (Cause.CHANGED, 82), "a.yaml:6": (Cause.DELETED, None)}


def test_an_object_that_no_longer_decodes_is_said_with_its_finding(folder):
    folder.save("a.yaml", service("a"))
    folder.scan()
    folder.save("a.yaml", service("a", "'80'"))
    (seen,) = folder.tree.touch([str(folder.root / "a.yaml")], 0)
    assert seen.unreadable
    assert seen.problem.reason is Reason.INVALID_OBJECT
    assert seen.problem.origin.path == "spec.ports[0].port"
    assert "a.yaml:4" in seen.problem.for_user
    (folder.root / "a.yaml").unlink()
    folder.touch("a.yaml")
    assert folder.later(1) == {"a": (Cause.DELETED, None)}


def test_the_first_file_by_name_owns_an_object(folder):
    folder.save("b.yaml", service("a", 2))
    folder.save("c.yaml", service("a", 3))
    found = folder.scan()
    assert found["a"] == (Cause.ADDED, 2)
    assert found["c.yaml:1#1"] == (Cause.ADDED, None, Reason.DUPLICATE_OBJECT)
    folder.save("a.yaml", service("a", 1))
    found = folder.touch("a.yaml")
    assert found["a"] == (Cause.CHANGED, 1)
    assert found["b.yaml:1#1"] == (Cause.ADDED, None, Reason.DUPLICATE_OBJECT)
    (folder.root / "a.yaml").unlink()
    folder.touch("a.yaml")
    assert folder.later(1)["a"] == (Cause.CHANGED, 2)
    assert str(folder.tree.place(next(iter(folder.tree._owners)))) == "b.yaml:1"


def test_a_renamed_folder_changes_nothing_but_places(folder):
    folder.save("old/a.yaml", service("a"))
    folder.scan()
    os.rename(folder.root / "old", folder.root / "new")
    assert folder.touch("new", "old") == {}
    assert folder.later(1) == {}
    assert folder.scan() == {}
    assert [str(folder.tree.place(ref)) for ref in folder.tree._owners] == ["new/a.yaml:1"]


def test_a_folder_that_is_gone_keeps_everything_and_says_so(folder):
    folder.save("a.yaml", service("a"))
    folder.scan()
    moved = folder.root.with_name("moved")
    os.rename(folder.root, moved)
    (seen,) = folder.tree.scan(0)
    assert (seen.ref.kind, seen.problem.reason) == (FILE, Reason.UNREADABLE_FILE)
    assert folder.scan() == {}
    os.rename(moved, folder.root)
    (seen,) = folder.tree.scan(0)
    assert (seen.cause, seen.problem) == (Cause.DELETED, None)


def test_what_is_no_text_and_no_file_is_said_not_raised(folder):
    (folder.root / "a.yaml").write_bytes(b"a: \xff\n")
    os.mkfifo(folder.root / "pipe.yaml")
    (folder.root / "dangling.yaml").symlink_to("nowhere")
    (folder.root / "loop").symlink_to(".")
    assert folder.scan() == {"a.yaml:1": (Cause.ADDED, None, Reason.UNREADABLE_FILE)}


def test_relisting_tells_absence_from_deletion(folder):
    folder.save("a.yaml", service("a"))
    folder.scan()
    (folder.root / "a.yaml").unlink()
    assert folder.scan() == {"a": (Cause.RELIST_ABSENT, None)}


def test_a_single_file_is_a_tree_too(tmp_path):
    path = tmp_path / "all.txt"
    path.write_text(service("a"))
    tree = FileTree(path, Decoder(KINDS))
    assert said(tree.scan(0)) == {"a": (Cause.ADDED, 80)}
