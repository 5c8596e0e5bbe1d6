"""Trees: streams, entries, and what a file holds. See docs/format.md#trees."""

import struct
from collections import namedtuple

import postcard
from objects import Damaged, Slice

VALUE_BYTES_MAX = 16 << 20
ROOT_BYTES_MAX = 32 << 20
PAGE_BYTES = 4096
KINDS = ("file", "directory", "symlink", "fifo", "socket", "character device", "block device")

Entry = namedtuple("Entry", "name kind detail metadata")
Content = namedtuple("Content", "size here stored hash")
Extent = namedtuple("Extent", "slice digest length")
Metadata = namedtuple("Metadata", "mode uid gid modified attributes hard_link stamp")


def _slice(cursor):
    return Slice(cursor.take(32), cursor.u32(), cursor.u32())


def _whole(cursor):
    part = _slice(cursor)
    return Extent(part, None, part.length)


def _part(cursor):
    part = _slice(cursor)
    return Extent(part, cursor.take(16), part.length)


def _extent(cursor):
    return cursor.variant(_whole, _part, lambda c: Extent(None, None, c.u64()))


def _content(cursor):
    size = cursor.u64()
    here, stored = cursor.variant(
        lambda c: (c.list(_extent), None), lambda c: (None, c.list(_slice))
    )
    return Content(size, here, stored, cursor.option(lambda c: c.take(32)))


def _time(cursor):
    seconds, nanoseconds = cursor.i64(), cursor.u32()
    if nanoseconds >= 10**9:
        raise postcard.Wrong("a time with too many nanoseconds")
    return seconds, nanoseconds


def _metadata(cursor):
    mode, uid, gid = cursor.u32(), cursor.u32(), cursor.u32()
    modified = _time(cursor)
    attributes = cursor.list(lambda c: (c.blob(), c.blob()))
    hard_link = cursor.option(lambda c: (c.u32(), c.u64()))
    stamp = cursor.option(lambda c: (c.u64(), _time(c)))
    return Metadata(mode, uid, gid, modified, attributes, hard_link, stamp)


def _target(cursor):
    target = cursor.blob()
    if b"\0" in target:
        raise postcard.Wrong("a link to a name with a zero byte")
    return target


def _kind(cursor):
    def device(number):
        return lambda c: (number, (c.u32(), c.u32()))

    return cursor.variant(
        lambda c: (0, _content(c)),
        lambda c: (1, c.list(_slice)),
        lambda c: (2, _target(c)),
        lambda c: (3, None),
        lambda c: (4, None),
        device(5),
        device(6),
    )


def _entry(cursor):
    name = cursor.blob()
    kind, detail = _kind(cursor)
    return Entry(name, KINDS[kind], detail, _metadata(cursor))


def stream(repository, slices, value, what):
    """The values of a stream, one by one."""
    buffer, position, slices = b"", 0, iter(slices)
    while True:
        cursor = postcard.Cursor(buffer, position)
        try:
            if position == len(buffer):
                raise postcard.Short()
            read = value(cursor)
            position = cursor.position
            yield read
            continue
        except postcard.Wrong as error:
            raise Damaged(what, f"the stream is damaged: {error}") from None
        except postcard.Short:
            pass
        if len(buffer) - position >= VALUE_BYTES_MAX:
            raise Damaged(what, "the stream has a value without end")
        following = next(slices, None)
        if following is None:
            if position != len(buffer):
                raise Damaged(what, "the stream ends in the middle of a value")
            return
        buffer, position = buffer[position:] + repository.slice(following), 0


def json_slices(listed, what):
    try:
        return [Slice(bytes.fromhex(s["chunk"]), s["offset"], s["length"]) for s in listed]
    except (KeyError, TypeError, ValueError):
        raise Damaged(what, "the slices of a root make no sense") from None


def root(repository, slices, what):
    """The entry of a volume's root."""
    if sum(part.length for part in slices) > ROOT_BYTES_MAX:
        raise Damaged(what, "the stream of the root is too long")
    entries = list(stream(repository, slices, _entry, what))
    if len(entries) != 1 or entries[0].name:
        raise Damaged(what, "the stream of the root is not one entry without a name")
    return entries[0]


def listing(repository, slices, what):
    """The entries of a directory, in order."""
    last = b""
    for entry in stream(repository, slices, _entry, what):
        name = entry.name
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
            raise Damaged(what, f"the impossible name {name!r}")
        if name <= last:
            raise Damaged(what, f"the name {name!r} is out of order")
        last = name
        yield entry


def pieces(repository, content, what):
    """The parts of a file in order: where each begins, and its bytes, or None and its length.

    Raises Damaged where a part, the sum of all, or the hash over all is wrong; the last only at
    the end."""
    extents = content.here
    if extents is None:
        extents = stream(repository, content.stored, _extent, what)
    position, pages = 0, _Pages(repository.keys)
    for extent in extents:
        if extent.length == 0 or position + extent.length > content.size:
            raise Damaged(what, "its extents do not add up to its size")
        data = None
        if extent.slice is None:
            pages.hole(extent.length)
        else:
            data = _checked(repository, extent, what)
            pages.data(data)
        yield position, data, extent.length
        position += extent.length
    if position != content.size:
        raise Damaged(what, "its extents do not add up to its size")
    if content.hash is not None and pages.finish(content.size) != content.hash:
        raise Damaged(what, "its content hash is another")


def _checked(repository, extent, what):
    if extent.digest is None:
        data = repository.chunk(extent.slice.chunk)
        if extent.slice.offset != 0 or len(data) != extent.length:
            raise Damaged(what, "an extent is not the whole chunk that it says it is")
        return data
    data = repository.slice(extent.slice)
    if repository.keys.digest(data) != extent.digest:
        raise Damaged(what, "the digest of a part of a chunk is another")
    return data


class _Pages:
    """The content hash. A page that lies in holes from end to end is left out."""

    def __init__(self, keys):
        self._keys = keys
        self._hasher = keys.content_hasher()
        self._number = 0
        self._page = bytearray()
        self._has_data = False

    def data(self, data):
        view = memoryview(data)
        while view:
            taken = view[: PAGE_BYTES - len(self._page)]
            self._page += taken
            self._has_data = True
            view = view[len(taken) :]
            self._end_if_full()

    def hole(self, length):
        while length:
            if not self._page and length >= PAGE_BYTES:
                self._number += length // PAGE_BYTES
                length %= PAGE_BYTES
                continue
            taken = min(length, PAGE_BYTES - len(self._page))
            self._page += bytes(taken)
            length -= taken
            self._end_if_full()

    def _end_if_full(self):
        if len(self._page) == PAGE_BYTES:
            self._end()

    def _end(self):
        if self._has_data:
            self._hasher.update(struct.pack("<Q", self._number))
            self._hasher.update(self._keys.digest(bytes(self._page)))
        self._number += 1
        self._page.clear()
        self._has_data = False

    def finish(self, size):
        if self._page:
            self._end()
        self._hasher.update(struct.pack("<Q", size))
        return self._hasher.digest()
