#!/usr/bin/env python3
"""Deterministic generator of the benchmark data sets (no dependencies, Python 3.9+).

  data.py small  DIR [--files N] [--seed S]     a tree of N small files (source code, JSON, logs, a few binaries;
                                               about 15 % whole-file duplicates and near-duplicates)
  data.py mixed  DIR [--size BYTES] [--seed S]  a tree of large files: half incompressible, a quarter text,
                                               a quarter database-like 8 KiB pages, duplicates included
  data.py db     FILE [--size BYTES] [--seed S] one database-like file of 8 KiB pages
  data.py mutate FILE [--percent P] [--block B] [--seed S]
                                               overwrite P percent of the B-byte blocks of FILE in place,
                                               at random block-aligned places
  data.py insert FILE [--count N] [--seed S]    insert 1..100 bytes at N random places (rewrites the file)

The same arguments give the same bytes on every machine: all randomness is Python's Mersenne Twister
with an integer seed (random, randbytes, getrandbits, sample; stable since Python 3.9).
"""
import argparse
import os
import random
import sys

PAGE = 8192
WORDS = None


def rnd_bytes(seed, n):
    """n incompressible bytes."""
    return random.Random(seed).randbytes(n)


def words():
    global WORDS
    if WORDS is None:
        r = random.Random(20240917)
        cons, vow = "bcdfghklmnprstvwz", "aeiou"
        base = ["fn", "let", "mut", "return", "if", "else", "for", "while", "match", "struct", "impl", "pub", "use",
                "self", "Some", "None", "Ok", "Err", "i32", "u64", "usize", "Vec", "String", "Result", "Option"]
        for _ in range(6000):
            base.append("".join(r.choice(cons) + r.choice(vow) for _ in range(r.randint(1, 4)))
                        + r.choice(["", "", "_id", "_len", "Buf", "Ctx", "s"]))
        WORDS = base
    return WORDS


def text(seed, n):
    """n bytes that look like source code: zipfian words, indentation, punctuation, numbers."""
    r = random.Random(seed)
    w = words()
    out, size, depth = [], 0, 0
    nw = len(w)
    while size < n:
        k = 2 + int(r.random() * 9)
        parts = []
        for _ in range(k):
            i = int(nw * (r.random() ** 3.2))
            parts.append(w[i])
            q = r.random()
            if q < 0.10:
                parts.append("(")
            elif q < 0.18:
                parts.append(").")
            elif q < 0.24:
                parts.append("= %d" % int(1 / (r.random() + 1e-6)))
            elif q < 0.27:
                parts.append('"%s %s"' % (w[int(nw * r.random())], w[int(nw * r.random())]))
        q = r.random()
        if q < 0.18:
            end, nd = " {\n", min(depth + 1, 6)
        elif q < 0.34:
            end, nd = "\n" + "    " * max(depth - 1, 0) + "}\n", max(depth - 1, 0)
        else:
            end, nd = ";\n", depth
        line = "    " * depth + " ".join(parts) + end
        depth = nd
        out.append(line)
        size += len(line)
    return "".join(out).encode()[:n]


def text_bulk(seed, n):
    """Like text(), for megabytes: distinct 4 MiB generated once, then shuffled by line blocks with a
    fresh number in every block, so that it neither deduplicates nor compresses better than text()."""
    base = text(seed, 4 << 20).split(b"\n")
    r = random.Random(seed ^ 0x5EED)
    out, size = [], 0
    nb = len(base)
    while size < n:
        i = int(r.random() * nb)
        blk = base[i:i + 3 + int(r.random() * 6)]
        s = b"\n".join(blk) + b"\n// %x %d\n" % (r.getrandbits(96), size)
        out.append(s)
        size += len(s)
    return b"".join(out)[:n]


def db_page(r, no):
    """One 8 KiB page: header, row pointers, free space of zeros, rows of integers, text and some binary."""
    nrows = 24 + int(r.random() * 40)
    rows, used = [], 0
    limit = PAGE - 32 - 4 * nrows
    w = words()
    for k in range(nrows):
        row = b"".join((
            (no * 64 + k).to_bytes(8, "little"),
            int(1.6e9 + r.random() * 1e8).to_bytes(8, "little"),
            b"\0\0\0\0", bytes((int(r.random() * 5),)), b"\0\0\0",
            w[int(len(w) * r.random() ** 2)].encode().ljust(16, b"\0"),
            (w[int(len(w) * r.random())] + "@" + w[int(len(w) * r.random())] + ".example").encode(),
            r.randbytes(24),
        ))
        if used + len(row) > limit:
            break
        rows.append(row)
        used += len(row)
    body = b"".join(reversed(rows))
    ptr = b"".join((PAGE - 100 * (i + 1) & 0xFFFF).to_bytes(4, "little") for i in range(len(rows)))
    head = b"PAGE" + no.to_bytes(8, "little") + r.getrandbits(64).to_bytes(8, "little") + \
        len(rows).to_bytes(4, "little") + b"\0" * 8
    return (head + ptr).ljust(PAGE - len(body), b"\0") + body


def db_bulk(seed, n, f, first=0):
    """n bytes of database pages into the open file f. 2048 template pages, each instance with its own page
    number, checksum and 24 % of its bytes of its own, so pages never deduplicate."""
    r = random.Random(seed)
    tmpl = [bytearray(db_page(r, i)) for i in range(2048)]
    done = 0
    no = first
    buf = []
    while done < n:
        p = bytearray(tmpl[int(r.random() * 2048)])
        p[4:12] = no.to_bytes(8, "little")
        p[12:20] = r.getrandbits(64).to_bytes(8, "little")
        for off in (1100, 3100, 5100, 7100):
            o = off + int(r.random() * 400)
            p[o:o + 160] = r.randbytes(160)
        buf.append(p)
        no += 1
        done += PAGE
        if len(buf) == 512:
            f.write(b"".join(buf))
            buf = []
    f.write(b"".join(buf))


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def cmd_small(a):
    """Sizes follow a log-normal law (median about 3 KiB, mean about 10 KiB), as a home or a source tree has."""
    r = random.Random(a.seed)
    os.makedirs(a.path, exist_ok=True)
    pool = text(a.seed + 1, 24 << 20)
    npool = len(pool)
    recent = []
    total = 0
    per_dir = 40
    for i in range(a.files):
        d = i // per_dir
        p = os.path.join(a.path, "d%03d" % (d // 100), "d%04d" % d)
        if i % per_dir == 0:
            os.makedirs(p, exist_ok=True)
        size = int(min(max(r.lognormvariate(8.0, 1.5), 1), 4 << 20))
        q = r.random()
        if q < 0.10 and recent:                      # whole-file duplicate
            data = recent[int(r.random() * len(recent))]
        elif q < 0.15 and recent:                    # near-duplicate: one changed line in the middle
            b = recent[int(r.random() * len(recent))]
            m = len(b) // 2
            data = b[:m] + b"\n// changed %d\n" % i + b[m:]
        elif q < 0.23:                               # incompressible (images, archives, objects)
            data = r.randbytes(size)
        else:
            o = int(r.random() * (npool - 1))
            head = b"// file %d %x\n" % (i, r.getrandbits(64))
            body = pool[o:o + size]
            data = head + body
            # private bytes every 512, so that files sharing pool ranges do not deduplicate
            arr = bytearray(data)
            for o in range(200, len(arr) - 16, 512):
                arr[o:o + 8] = b"%08x" % r.getrandbits(32)
            data = bytes(arr)
        ext = (".rs", ".json", ".c", ".py", ".md", ".bin")[int(r.random() * 6)]
        write(os.path.join(p, "f%06d%s" % (i, ext)), data)
        total += len(data)
        if len(recent) < 4000:
            recent.append(data)
        else:
            recent[int(r.random() * 4000)] = data
    print("small: %d files, %d bytes" % (a.files, total))


def cmd_mixed(a):
    os.makedirs(a.path, exist_ok=True)
    n = a.size
    # half incompressible: sixteen media-like files
    for i in range(16):
        with open(os.path.join(a.path, "media%02d.bin" % i), "wb") as f:
            left = n // 2 // 16
            k = 0
            while left > 0:
                m = min(left, 8 << 20)
                f.write(rnd_bytes(a.seed * 1000003 + i * 4099 + k, m))
                left -= m
                k += 1
    # a quarter text, one eighth of which is a duplicate of the first file with a shifted start
    q = n // 4
    for i in range(7):
        write(os.path.join(a.path, "log%02d.txt" % i), text_bulk(a.seed + 100 + i, q // 8))
    with open(os.path.join(a.path, "log00.txt"), "rb") as s, open(os.path.join(a.path, "log07-dup.txt"), "wb") as d:
        d.write(b"# copy of log00 with a shifted start\n")
        while True:
            b = s.read(8 << 20)
            if not b:
                break
            d.write(b)
    # a quarter database
    with open(os.path.join(a.path, "data.db"), "wb") as f:
        db_bulk(a.seed + 200, q, f)
    print("mixed: %d bytes" % sum(os.path.getsize(os.path.join(a.path, x)) for x in os.listdir(a.path)))


def cmd_db(a):
    os.makedirs(os.path.dirname(os.path.abspath(a.path)), exist_ok=True)
    with open(a.path, "wb") as f:
        db_bulk(a.seed, a.size, f)
    print("db: %d bytes" % os.path.getsize(a.path))


def cmd_mutate(a):
    size = os.path.getsize(a.path)
    blocks = size // a.block
    n = max(1, int(blocks * a.percent / 100.0))
    r = random.Random(a.seed ^ 0xABCDEF)
    picks = sorted(r.sample(range(blocks), n))
    fd = os.open(a.path, os.O_WRONLY)
    for b in picks:
        os.pwrite(fd, (b"PAGE" + b.to_bytes(8, "little")).ljust(a.block // 2, b"\x11") +
                  r.randbytes(a.block - a.block // 2), b * a.block)
    os.fsync(fd)
    os.close(fd)
    print("mutate: %d of %d blocks of %d bytes" % (n, blocks, a.block))


def cmd_insert(a):
    with open(a.path, "rb") as f:
        data = f.read()
    r = random.Random(a.seed ^ 0x1235)
    at = sorted(r.sample(range(len(data)), a.count))
    with open(a.path + ".new", "wb") as f:
        prev = 0
        for p in at:
            f.write(data[prev:p])
            f.write(r.randbytes(1 + int(r.random() * 100)))
            prev = p
        f.write(data[prev:])
    os.replace(a.path + ".new", a.path)
    print("insert: %d places" % a.count)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    s = p.add_subparsers(dest="cmd", required=True)
    for name, fn in (("small", cmd_small), ("mixed", cmd_mixed), ("db", cmd_db), ("mutate", cmd_mutate),
                     ("insert", cmd_insert)):
        q = s.add_parser(name)
        q.add_argument("path")
        q.add_argument("--seed", type=int, default=1)
        q.add_argument("--size", type=int, default=4 << 30)
        q.add_argument("--files", type=int, default=200000)
        q.add_argument("--percent", type=float, default=1.0)
        q.add_argument("--block", type=int, default=PAGE)
        q.add_argument("--count", type=int, default=64)
        q.set_defaults(fn=fn)
    a = p.parse_args()
    a.fn(a)


if __name__ == "__main__":
    sys.exit(main())
