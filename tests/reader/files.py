"""Files from entries: everything that Linux keeps about a file, as far as it lets us."""

import os
import stat

import trees
from objects import Damaged

NODES = {
    "fifo": stat.S_IFIFO,
    "socket": stat.S_IFSOCK,
    "character device": stat.S_IFCHR,
    "block device": stat.S_IFBLK,
}


class Restore:
    """Restores one volume; `problems` tells what could not be restored, and why."""

    def __init__(self, repository):
        self.repository = repository
        self.problems = []
        self.files = 0
        self._linked = {}

    def volume(self, root, path):
        """Makes the root at this path, which must be free, and all below it."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        levels = self._make(root, path)
        while levels:
            entry, directory, entries = levels[-1]
            try:
                below = next(entries, None)
            except Damaged as error:
                self.problems.append(str(error))
                below = None
            if below is not None:
                levels += self._make(below, os.path.join(directory, below.name))
            else:
                # Last, because every entry that was made in it changed its time.
                levels.pop()
                self._apply(entry, directory)

    def _make(self, entry, path):
        """Makes one entry; a directory comes back to be filled."""
        key = entry.metadata.hard_link and (entry.metadata.hard_link, entry.kind)
        try:
            if key in self._linked and entry.kind != "directory":
                os.link(self._linked[key], path, follow_symlinks=False)
                self.files += 1
                return []
            if entry.kind == "directory":
                os.mkdir(path)
                self.files += 1
                what = os.fsdecode(path)
                return [(entry, path, trees.listing(self.repository, entry.detail, what))]
            if entry.kind == "file":
                self._write(entry.detail, path)
            elif entry.kind == "symlink":
                os.symlink(entry.detail, path)
            else:
                device = os.makedev(*entry.detail) if entry.detail else 0
                os.mknod(path, NODES[entry.kind] | 0o600, device)
        except Damaged as error:
            self.problems.append(f"{os.fsdecode(path)}: {error}")
            return []
        except OSError as error:
            self.problems.append(f"{os.fsdecode(path)}: {error.strerror}")
            return []
        self._apply(entry, path)
        self.files += 1
        if key:
            self._linked[key] = path
        return []

    def _write(self, content, path):
        what = os.fsdecode(path)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.ftruncate(file, content.size)
            for position, data, _ in trees.pieces(self.repository, content, what):
                while data:
                    written = os.pwrite(file, data, position)
                    data, position = data[written:], position + written
        except Damaged:
            # With wrong bytes it would look like a file: rather none.
            os.unlink(path)
            raise
        finally:
            os.close(file)

    def _apply(self, entry, path):
        metadata = entry.metadata
        acls = [a for a in metadata.attributes if a[0].startswith(b"system.posix_acl_")]
        others = [a for a in metadata.attributes if a not in acls]

        def attributes(listed):
            for name, value in listed:
                self._try(path, os.setxattr, path, name, value, follow_symlinks=False)

        # An owner clears set-id bits and capabilities, and every change sets a time.
        if os.geteuid() == 0:
            self._try(
                path, os.chown, path, metadata.uid, metadata.gid, follow_symlinks=False
            )
        attributes(others)
        if entry.kind != "symlink":
            self._try(path, os.chmod, path, metadata.mode)
        attributes(acls)
        seconds, nanoseconds = metadata.modified
        time = seconds * 10**9 + nanoseconds
        self._try(path, os.utime, path, ns=(time, time), follow_symlinks=False)

    def _try(self, path, action, *arguments, **options):
        try:
            action(*arguments, **options)
        except (OSError, OverflowError) as error:
            self.problems.append(f"{os.fsdecode(path)}: {action.__name__}: {error}")
