"""Reads a Stillpoint repository in a local directory. Written from docs/format.md alone.

    stillpoint_reader.py [--repo DIRECTORY] list
    stillpoint_reader.py [--repo DIRECTORY] show POINT
    stillpoint_reader.py [--repo DIRECTORY] restore POINT DIRECTORY
    stillpoint_reader.py [--repo DIRECTORY] verify POINT|all

POINT is an id, the beginning of one, or `latest`. The repository is also taken from STILLPOINT_REPO,
the key from the key file in STILLPOINT_KEY_FILE, or a passphrase from STILLPOINT_PASSPHRASE or the file
in STILLPOINT_PASSPHRASE_FILE. It needs what requirements.txt says. Exit code: 0, or 1 when anything is wrong; stderr says what.
"""

import argparse
import hashlib
import json
import os
import re
import sys

import trees
from files import Restore
from objects import Damaged, Refused, Repository


def main():
    os.umask(0o077)
    parser = argparse.ArgumentParser(description="Reads a Stillpoint repository.")
    parser.add_argument("--repo", default=os.environ.get("STILLPOINT_REPO"))
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list")
    verbs.add_parser("show").add_argument("point")
    verbs.add_parser("verify").add_argument("point")
    restore = verbs.add_parser("restore")
    restore.add_argument("point")
    restore.add_argument("directory")
    arguments = parser.parse_args()
    if not arguments.repo:
        parser.error("--repo or STILLPOINT_REPO must say where the repository is")
    try:
        repository = Repository(arguments.repo, held())
        problems = VERBS[arguments.verb](repository, arguments)
        problems += [str(error) for error in repository.damage]
    except (Damaged, Refused) as error:
        problems = [str(error)]
    for problem in dict.fromkeys(problems):
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


def held():
    """The kind of key that somebody holds, and its bytes."""
    if os.environ.get("STILLPOINT_KEY_FILE"):
        with open(os.environ["STILLPOINT_KEY_FILE"], encoding="ascii") as file:
            return "key-file", key_file(file.read())
    if "STILLPOINT_PASSPHRASE" in os.environ:
        return "passphrase", os.environb[b"STILLPOINT_PASSPHRASE"]
    if "STILLPOINT_PASSPHRASE_FILE" in os.environ:
        with open(os.environ["STILLPOINT_PASSPHRASE_FILE"], "rb") as file:
            return "passphrase", file.read().rstrip(b"\r\n")
    raise Refused("STILLPOINT_KEY_FILE, STILLPOINT_PASSPHRASE or STILLPOINT_PASSPHRASE_FILE must be set")


def key_file(text):
    match = re.fullmatch(r"(stillpoint-key-1 ([0-9a-f]{64})) ([0-9a-f]{8})\n?", text)
    if not match or hashlib.sha256(match[1].encode()).hexdigest()[:8] != match[3]:
        raise Refused("the key file is damaged, or none")
    return bytes.fromhex(match[2])


def points(repository):
    """Every restore point with its manifest, the oldest first, and what is wrong with others."""
    found, problems = [], []
    forgotten = {name.removeprefix("fgt/") for name in repository.names("fgt")}
    for name in repository.names("out"):
        if name.removeprefix("out/") in forgotten:
            continue
        try:
            manifest = repository.manifest(name.removeprefix("out/"))
            if manifest is not None:
                found.append(manifest)
        except Damaged as error:
            problems.append(str(error))
    return sorted(found, key=lambda m: (m["taken"], m["point"])), problems


def choose(repository, text):
    if f"fgt/{text}" in repository.names("fgt"):
        raise Refused(f"{text} was forgotten")
    if re.fullmatch("[0-9a-f]{32}", text):
        chosen = [repository.manifest(text)]
        chosen = [manifest for manifest in chosen if manifest is not None]
    else:
        found, problems = points(repository)
        if problems:
            raise Refused("\n".join(problems))
        chosen = found[-1:] if text == "latest" else []
        if re.fullmatch("[0-9a-f]+", text):
            chosen = [manifest for manifest in found if manifest["point"].startswith(text)]
    if len(chosen) != 1:
        raise Refused(f"`{text}` is {'no point' if not chosen else 'more than one point'}")
    return chosen[0]


def list_points(repository, _):
    found, problems = points(repository)
    for manifest in found:
        print(*(manifest[key] for key in ("point", "taken", "level", "application")))
    return problems


def show(repository, arguments):
    manifest = choose(repository, arguments.point)
    # It contains secrets.
    manifest["definition"] = "not shown"
    print(json.dumps(manifest, indent=2))
    return []


def raw_path(text):
    """The bytes of a path, of which the manifest has a text."""
    parts = re.split(r"(\\\\|\\x[0-9a-f]{2})", text)
    parts[1::2] = ["\\" if part == "\\\\" else int(part[2:], 16) for part in parts[1::2]]
    return b"".join(bytes([p]) if isinstance(p, int) else p.encode() for p in parts)


def restore(repository, arguments):
    manifest = choose(repository, arguments.point)
    problems, files = [], 0
    for volume in manifest["volumes"]:
        restoring = Restore(repository)
        what = f"out/{manifest['point']}: {volume['source']}"
        parts = [part for part in raw_path(volume["source"]).split(b"/") if part]
        if b".." in parts:
            raise Damaged(what, "the source leads elsewhere")
        try:
            root = trees.root(repository, trees.json_slices(volume["root"], what), what)
            path = os.path.join(os.fsencode(os.path.abspath(arguments.directory)), *parts)
            restoring.volume(root, path)
        except Damaged as error:
            problems.append(str(error))
        problems += restoring.problems
        files += restoring.files
    problems += [f"{o['path']}: not in the point: {o['reason']}" for o in manifest["omissions"]]
    print(f"{files} files")
    return problems


class Verification:
    """Reads everything that a point needs."""

    def __init__(self, repository):
        self.repository = repository
        self.problems = []
        self.files = 0
        self._contents = set()

    def point(self, manifest):
        for volume in manifest["volumes"]:
            self._linked = {}
            self._is_exact = manifest["level"] != "fuzzy"
            what = f"out/{manifest['point']}: {volume['name']}"
            try:
                slices = trees.json_slices(volume["root"], what)
                root = trees.root(self.repository, slices, what)
                files = self._walk(root, what)
                if files != volume["files"]:
                    raise Damaged(what, f"it has {files} files, not {volume['files']}")
                self.files += files
            except Damaged as error:
                self.problems.append(str(error))

    def _walk(self, root, what):
        files, levels = 0, [(what, iter([root]))]
        while levels:
            path, entries = levels[-1]
            try:
                entry = next(entries, None)
                if entry is None:
                    levels.pop()
                    continue
                files += 1
                path = f"{path}/{os.fsdecode(entry.name)}"
                self._link(entry, path)
                if entry.kind == "directory":
                    levels.append((path, trees.listing(self.repository, entry.detail, path)))
                elif entry.kind == "file" and str(entry.detail) not in self._contents:
                    for _ in trees.pieces(self.repository, entry.detail, path):
                        pass
                    self._contents.add(str(entry.detail))
            except Damaged as error:
                self.problems.append(f"{path}: {error}")
        return files

    # The names of a file that nobody could change meanwhile agree about it.
    def _link(self, entry, path):
        key = entry.metadata.hard_link
        if key is None:
            return
        if entry.kind == "directory":
            raise Damaged(path, "a directory with several names")
        known = self._linked.setdefault((key, entry.kind), entry)
        if self._is_exact and known._replace(name=entry.name) != entry:
            raise Damaged(path, "two names of one file do not agree")


def verify(repository, arguments):
    repository.load_index()
    verification = Verification(repository)
    if arguments.point != "all":
        verification.point(choose(repository, arguments.point))
        print(f"{verification.files} files")
        return verification.problems
    found, problems = points(repository)
    for manifest in found:
        verification.point(manifest)
    packs = repository.names("pack")
    checks = [(repository.verify_pack, (name,)) for name in packs]
    condemned = repository.condemned()
    ended = {name.removeprefix("out/") for name in repository.names("out")}
    forgotten = {name.removeprefix("fgt/") for name in repository.names("fgt")}
    may_be_gone = repository.may_be_gone(condemned, ended, forgotten)
    for folder in ("ses", "out", "idx", "hb", "gen", "cnd", "fgt", "ann", "pin"):
        names = repository.names(folder)
        checks += [(repository.verify_link, (name, may_be_gone)) for name in names]
    for check, what in checks:
        try:
            check(*what)
        except Damaged as error:
            problems.append(str(error))
    print(f"{len(found)} points, {verification.files} files, {len(packs)} packs")
    return problems + verification.problems


VERBS = {"list": list_points, "show": show, "restore": restore, "verify": verify}

if __name__ == "__main__":
    sys.exit(main())
