"""The objects of a repository in a directory: keys, seals, control objects, packs and the index."""

import hmac
import io
import json
import os
import re
import struct
from collections import OrderedDict, namedtuple

import zstandard
from argon2.low_level import Type, hash_secret_raw
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

import postcard

VERSION = 1
FEATURES = set()
CONTROL_BYTES_MAX = 1 << 30
FRAME_BYTES_MAX = 8 << 20
FRAMES_CACHED = 24
HEADER = 8 + 32 + 32
FOOTER_NUMBER = 0xFFFFFFFF

ID, SLOT, NUMBER = "[0-9a-f]{32}", "[0-9a-f]{16}", "(0|[1-9][0-9]{0,19})"
FOLDERS = {
    "key": f"key/{SLOT}",
    "ses": f"ses/{NUMBER}/{ID}",
    "out": f"out/{ID}",
    "pack": f"pack/{ID}/{ID}",
    "idx": f"idx/{ID}/{ID}",
    "hb": f"hb/{ID}/{NUMBER}",
    "gen": f"gen/{NUMBER}",
    "cnd": f"cnd/{NUMBER}",
    "fgt": f"fgt/{ID}",
    "ann": f"ann/{ID}/{NUMBER}",
    "pin": f"pin/{ID}",
}

Frame = namedtuple("Frame", "offset length kind codec raw_length chunks")
Pack = namedtuple("Pack", "name size salt frames")
Slice = namedtuple("Slice", "chunk offset length")


class Damaged(Exception):
    """What is wrong, and the name of the object, or the path, that it is wrong with."""

    def __init__(self, what, why):
        super().__init__(f"{what}: {why}")


class Refused(Exception):
    """This program may not or cannot read the repository."""


def expand(salt, key, info):
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info.encode()).derive(key)


class Keys:
    """Everything that follows from the root key of a repository."""

    def __init__(self, root, repository):
        def branch(name):
            return expand(repository, root, f"stillpoint {name}")

        self.repository = repository
        self._chunk = branch("chunk id")
        self._part = branch("part")
        self._content = branch("content")
        self._seal = branch("seal")

    def chunk_id(self, data):
        return blake3(data, key=self._chunk).digest()

    def digest(self, data):
        return blake3(data, key=self._part).digest()[:16]

    def content_hasher(self):
        return blake3(key=self._content)

    def seal(self, salt):
        key = expand(salt, self._seal, "stillpoint object key")
        return AESGCM(key), expand(salt, self._seal, "stillpoint commitment")


def open_text(cipher, number, bound, sealed, what):
    try:
        return cipher.decrypt(bytes(8) + struct.pack(">I", number), sealed, bound)
    except (InvalidTag, ValueError):
        raise Damaged(what, "the seal is broken") from None


def decompress(data, limit, what):
    plain = bytearray()
    try:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as reader:
            # In pieces, so that memory is taken for what is there, not for what could be.
            while len(plain) <= limit and (piece := reader.read(1 << 20)):
                plain += piece
    except zstandard.ZstdError as error:
        raise Damaged(what, f"it does not decompress: {error}") from None
    if len(plain) > limit:
        raise Damaged(what, f"it decompresses to more than {limit} bytes")
    return bytes(plain)


def parse_json(data, what):
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Damaged(what, f"it is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Damaged(what, "it is no JSON object")
    return value


def unlock(root, held):
    """The keys of the repository in this directory."""
    try:
        with open(os.path.join(root, "config"), "rb") as file:
            descriptor = parse_json(file.read(), "config")
    except OSError as error:
        raise Refused(f"config: {error.strerror}; there is no repository in {root}") from None
    if descriptor.get("format") != "stillpoint":
        raise Refused("config: this is no Stillpoint repository")
    if descriptor.get("version", VERSION + 1) > VERSION:
        raise Refused(f"config: version {descriptor.get('version')} is newer than {VERSION}")
    if descriptor["version"] < 1:
        raise Refused("config: version 0 was written while the format was being made")
    unknown = set(descriptor.get("features", [])) - FEATURES
    if unknown:
        raise Refused(f"config: it needs {', '.join(sorted(unknown))}")
    try:
        repository = bytes.fromhex(descriptor["repository"])
    except (KeyError, TypeError, ValueError):
        raise Damaged("config", "the repository's id is missing") from None
    reasons = []
    for name, _ in list_folder(root, "key"):
        try:
            return Keys(open_slot(root, name, repository, held), repository)
        except (Damaged, Refused) as error:
            reasons.append(str(error))
    raise Refused("; ".join(reasons) or "key: there is no slot")


def open_slot(root, name, repository, held):
    """The root key, from what is held: a kind and its bytes."""
    kind, secret = held
    with open(os.path.join(root, name), "rb") as file:
        slot = parse_json(file.read(), name)
    if slot.get("kind") != kind:
        raise Refused(f"{name}: it opens with another kind of key")
    try:
        texts = (slot[key] for key in ("slot", "salt", "commitment", "wrapped"))
        own_id, salt, commitment, wrapped = map(bytes.fromhex, texts)
        bound = b"stillpoint slot" + repository + own_id
        for key in ("kind", "algorithm", "label", "created"):
            text = slot[key].encode()
            bound += struct.pack("<Q", len(text)) + text
        if slot["algorithm"] == "argon2id":
            costs = [slot["cost"][key] for key in ("memory_kib", "passes", "lanes")]
            bound += struct.pack("<III", *costs)
            sealing, committed = stretch(secret, salt, *costs, name)
        elif slot["algorithm"] == "hkdf-sha-256":
            sealing = expand(salt, secret, "stillpoint slot key")
            committed = expand(salt, secret, "stillpoint slot commitment")
        else:
            raise Refused(f"{name}: it uses {slot['algorithm']}, which this program does not know")
    except Refused:
        raise
    except Exception as error:
        raise Damaged(name, f"it is no slot: {error!r}") from None
    if not hmac.compare_digest(committed, commitment):
        raise Refused(f"{name}: the {kind} does not open it")
    try:
        return AESGCM(sealing).decrypt(bytes(12), wrapped, bound)
    except (InvalidTag, ValueError):
        raise Damaged(name, "the seal is broken") from None


def stretch(passphrase, salt, memory, passes, lanes, name):
    if memory > 4 << 20 or passes > 64 or lanes > 64:
        raise Refused(f"{name}: it asks for an unreasonable amount of memory or time")
    both = hash_secret_raw(
        passphrase, salt, passes, memory, lanes, hash_len=64, type=Type.ID, version=0x13
    )
    return both[:32], both[32:]


def list_folder(root, folder):
    """The names and sizes of the objects in a folder."""
    pattern = re.compile(FOLDERS[folder])
    for path, _, names in os.walk(os.path.join(root, folder)):
        for file in names:
            whole = os.path.join(path, file)
            name = os.path.relpath(whole, root)
            if pattern.fullmatch(name):
                yield name, os.path.getsize(whole)


def _chunks(cursor):
    return cursor.list(lambda c: (c.take(32), c.u32()))


def _kind_and_codec(cursor):
    kind = cursor.variant(lambda _: 0, lambda _: 1)
    return kind, cursor.variant(lambda _: 0, lambda _: 1)


def _indexed_frame(cursor):
    offset, length = cursor.u64(), cursor.u32()
    kind, codec = _kind_and_codec(cursor)
    return Frame(offset, length, kind, codec, cursor.u32(), _chunks(cursor))


def _indexed_pack(cursor):
    name = f"pack/{cursor.take(16).hex()}/{cursor.take(16).hex()}"
    return Pack(name, cursor.u64(), cursor.take(32), cursor.list(_indexed_frame))


def _link(cursor):
    return {"object": cursor.text(), "digest": cursor.take(16).hex()}


def _segment(cursor):
    packs = cursor.list(_indexed_pack)
    return {"packs": packs, "previous": cursor.option(_link)}


class Repository:
    """A repository that can be read."""

    def __init__(self, root, held):
        self.root = root
        self.keys = unlock(root, held)
        self.damage = []
        self.records = {}
        self._places = None
        self._asked_footers = False
        self._frames = OrderedDict()

    def names(self, folder):
        return sorted(name for name, _ in list_folder(self.root, folder))

    def bytes(self, name):
        try:
            with open(os.path.join(self.root, name), "rb") as file:
                return file.read()
        except OSError as error:
            raise Damaged(name, error.strerror) from None

    def control(self, name):
        """The content of a control object."""
        data = self.bytes(name)
        if len(data) < HEADER or data[:8] != b"SPctrl\0\0":
            raise Damaged(name, "it is torn, or no control object")
        cipher, commitment = self.keys.seal(data[8:40])
        if not hmac.compare_digest(commitment, data[40:72]):
            raise Damaged(name, "the commitment is not that of its key")
        bound = b"stillpoint control" + self.keys.repository + name.encode()
        text = open_text(cipher, 0, bound, data[HEADER:], name)
        text = decompress(text, CONTROL_BYTES_MAX, name)
        if not name.startswith("idx/"):
            return parse_json(text, name)
        try:
            return _segment(postcard.Cursor(text))
        except (postcard.Short, postcard.Wrong) as error:
            raise Damaged(name, f"it is no index segment: {error}") from None

    def manifest(self, point):
        """The manifest of a point; None for a session that ended without one."""
        name = f"out/{point}"
        end = self.control(name).get("end")
        if end in ("fenced", "repacked"):
            return None
        if not isinstance(end, dict) or not isinstance(end.get("commit"), dict):
            raise Damaged(name, "it has no end")
        if end["commit"].get("point") != point:
            raise Damaged(name, "it names another point")
        return end["commit"]

    def condemned(self):
        """The packs and segments that a prune may have deleted."""
        lists = [self.control(name)["objects"] for name in self.names("cnd")]
        return {name for names in lists for name in names}

    def load_index(self):
        """Reads every segment; what is damaged is noted."""
        if self._places is not None:
            return
        self._places = {}
        segments = []
        for name in self.names("idx"):
            try:
                segments.append(self.control(name))
            except Damaged as error:
                self.damage.append(error)
        sizes = dict(list_folder(self.root, "pack"))
        condemned = self.condemned()
        for pack in (pack for segment in segments for pack in segment["packs"]):
            if sizes.get(pack.name) == pack.size:
                self._add(pack)
            elif pack.name not in condemned:
                self.damage.append(Damaged(pack.name, "it is gone, or not of the right size"))

    def _add(self, pack):
        self.records[pack.name] = pack
        for number, frame in enumerate(pack.frames):
            offset = 0
            for chunk, length in frame.chunks:
                place = (pack, number, offset, length)
                self._places.setdefault(chunk, []).append(place)
                offset += length

    def _ask_footers(self):
        self._asked_footers = True
        for name in self.names("pack"):
            if name not in self.records:
                try:
                    self._add(self.footer(name, self.bytes(name)))
                except Damaged as error:
                    self.damage.append(error)

    def chunk(self, chunk):
        """The bytes of a chunk, from the first copy that is whole."""
        self.load_index()
        if chunk not in self._places and not self._asked_footers:
            self._ask_footers()
        problem = Damaged(f"chunk {chunk.hex()}", "it is in no pack")
        for pack, number, offset, length in self._places.get(chunk, ()):
            try:
                data = self._frame(pack, number)[offset : offset + length]
                if len(data) == length and self.keys.chunk_id(data) == chunk:
                    return data
                problem = Damaged(pack.name, f"frame {number}: a chunk is not what its name says")
            except Damaged as error:
                problem = error
        raise problem

    def slice(self, part):
        data = self.chunk(part.chunk)
        if part.offset + part.length > len(data):
            raise Damaged(f"chunk {part.chunk.hex()}", "a slice goes beyond its end")
        return data[part.offset : part.offset + part.length]

    def _frame(self, pack, number):
        cached = self._frames.get((pack.name, number))
        if cached is None:
            frame = pack.frames[number]
            try:
                with open(os.path.join(self.root, pack.name), "rb") as file:
                    file.seek(frame.offset)
                    sealed = file.read(frame.length)
            except OSError as error:
                raise Damaged(pack.name, error.strerror) from None
            cached = self.open_frame(pack, number, sealed)
            self._frames[(pack.name, number)] = cached
            if len(self._frames) > FRAMES_CACHED:
                self._frames.popitem(last=False)
        self._frames.move_to_end((pack.name, number))
        return cached

    def _pack_bound(self, name, number, count):
        _, session, own_id = name.split("/")
        identity = self.keys.repository + bytes.fromhex(session) + bytes.fromhex(own_id)
        return b"stillpoint pack" + identity + struct.pack("<II", number, count)

    def open_frame(self, pack, number, sealed):
        frame = pack.frames[number]
        what = f"{pack.name}: frame {number}"
        if frame.raw_length > FRAME_BYTES_MAX:
            raise Damaged(what, "it is longer than any may be")
        bound = self._pack_bound(pack.name, number, len(pack.frames))
        bound += struct.pack("<BBI", frame.kind, frame.codec, frame.raw_length)
        cipher, _ = self.keys.seal(pack.salt)
        plain = open_text(cipher, number, bound, sealed, what)
        if frame.codec == 1:
            plain = decompress(plain, frame.raw_length, what)
        if len(plain) != frame.raw_length:
            raise Damaged(what, "it has another length than it says")
        return plain

    def footer(self, name, data):
        """What a whole pack says about itself."""
        if len(data) < HEADER + 16 or data[:8] != b"SPpack\0\0" or data[-8:] != data[:8]:
            raise Damaged(name, "it is torn, or no pack")
        salt = data[8:40]
        cipher, commitment = self.keys.seal(salt)
        if not hmac.compare_digest(commitment, data[40:72]):
            raise Damaged(name, "the commitment is not that of its key")
        length, count = struct.unpack("<II", data[-16:-8])
        start = len(data) - 16 - length
        if start < HEADER:
            raise Damaged(name, "its lengths do not add up")
        bound = self._pack_bound(name, FOOTER_NUMBER, count)
        text = open_text(cipher, FOOTER_NUMBER, bound, data[start:-16], f"{name}: footer")
        frames, end = [], HEADER

        def frame(cursor):
            kind, codec = _kind_and_codec(cursor)
            return kind, codec, cursor.u32(), cursor.u32(), _chunks(cursor)

        try:
            listed = postcard.Cursor(text).list(frame)
        except (postcard.Short, postcard.Wrong) as error:
            raise Damaged(name, f"its footer makes no sense: {error}") from None
        for kind, codec, sealed_length, raw_length, chunks in listed:
            frames.append(Frame(end, sealed_length, kind, codec, raw_length, chunks))
            end += sealed_length
        if end != start or len(frames) != count:
            raise Damaged(name, "its lengths do not add up")
        return Pack(name, len(data), salt, frames)

    def verify_pack(self, name):
        """Reads a whole pack: footer, every frame, every chunk."""
        data = self.bytes(name)
        pack = self.footer(name, data)
        if self.records.get(name, pack) != pack:
            raise Damaged(name, "the index says something else about it")
        for number, frame in enumerate(pack.frames):
            plain = self.open_frame(pack, number, data[frame.offset :][: frame.length])
            offset = 0
            for chunk, length in frame.chunks:
                if self.keys.chunk_id(plain[offset : offset + length]) != chunk:
                    raise Damaged(name, f"frame {number}: a chunk is not what its name says")
                offset += length
            if offset != len(plain):
                raise Damaged(name, f"frame {number}: its chunks do not add up")

    @staticmethod
    def may_be_gone(condemned, ended, forgotten):
        """A function that says whether a prune may have deleted an object."""

        def may_be_gone(name):
            folder, *rest = name.split("/")
            if name in condemned or folder == "hb":
                return True
            if folder == "ses":
                return rest[-1] in ended | forgotten
            return folder in ("out", "ann") and rest[0] in forgotten

        return may_be_gone

    def verify_link(self, name, may_be_gone):
        """Whether the object that this one links to is what it was."""
        link = self.control(name).get("previous")
        if link is None:
            return
        linked = link.get("object") if isinstance(link, dict) else None
        if not any(re.fullmatch(pattern, str(linked)) for pattern in FOLDERS.values()):
            raise Damaged(name, "its link to another object makes no sense")
        if may_be_gone(linked) and not os.path.exists(os.path.join(self.root, linked)):
            return
        if self.keys.digest(self.bytes(linked)).hex() != link.get("digest"):
            raise Damaged(linked, f"it is not what {name} links to")
