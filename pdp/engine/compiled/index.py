"""The index: from the keys of a request to the rules that may match it, in row order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from pdp.engine.compiled.blocks import Entry, Fused, Leaf, merged
from pdp.engine.compiled.conditions import Equality, Path
from pdp.engine.compiled.keys import EqualKeys, RoleKeys, make_keys
from pdp.engine.compiled.pacing import Checkpoint, no_pause, paced
from pdp.engine.compiled.plan import Dimension
from pdp.engine.compiled.roles import DomainRoles, Roles
from pdp.engine.compiled.writing import Fields

_MAX_REMEMBERED: Final = 1 << 16
_SPLIT_FROM: Final = 12
_SPLIT_JOINED_FROM: Final = 32  # where buckets are joined, a second index costs some microseconds for each request
_MAX_PARTS: Final = 16
_MAX_PATHS: Final = 8
_MAX_SPLIT_DEPTH: Final = 4


Fuse = Callable[[list[tuple[Entry, ...]]], Mapping[tuple[Entry, ...], Fused]]
Reader = Callable[..., str]
"""Reads the text at a path of a request; raises where it is no text."""


class Split:
    """A large bucket with a second index, on the equalities that its rules' conditions start with.

    Attributes:
        plain: rules without such an equality.
        branches: (reader of a path, its text -> bucket).
        only: where one branch is all there is: its reader and its lookup.
    """

    __slots__ = ("branches", "only", "plain")

    def __init__(self, plain: Leaf, branches: tuple[tuple[Reader, dict[str, Bucket]], ...]) -> None:
        self.plain = plain
        self.branches = branches
        reader, branch = branches[0]
        self.only = None if plain or len(branches) > 1 else (reader, branch.get)


Bucket = Leaf | Split
Draft = list[tuple[Entry, tuple[Equality, ...]]]


class Part(NamedTuple):
    """What is filed under one key, where several are joined: as drafts, and as a bucket by itself."""

    draft: Draft
    bucket: Bucket


class Buckets:
    """Makes buckets.

    Args:
        reader_of: makes the reader of a path.
        split_from: how many entries have to start with the same path for a second index.
    """

    def __init__(self, reader_of: Callable[[Path], Reader], split_from: int) -> None:
        self._reader_of = reader_of
        self._split_from = split_from
        self._readers: dict[Path, Reader] = {}

    def _reader(self, path: Path) -> Reader:
        if path not in self._readers:
            self._readers[path] = self._reader_of(path)
        return self._readers[path]

    def make(self, draft: Draft, checkpoint: Checkpoint = no_pause, depth: int = 0) -> Bucket:
        """A bucket of entries with their leading equalities, split where many of them start with the same path."""
        if len(draft) < self._split_from or depth >= _MAX_SPLIT_DEPTH:
            return tuple([entry for entry, _ in draft])
        paths = self._common_paths(draft, checkpoint, depth)
        by_path: dict[Path, Draft] = {path: [] for path in paths}
        plain: list[Entry] = []
        for entry, leading in paced(draft, checkpoint):
            path = leading[depth].path if by_path and len(leading) > depth else None
            if path in by_path:
                by_path[path].append((entry, leading))
            else:
                plain.append(entry)
        if not by_path:
            return tuple(plain)
        branches = [(self._reader(path), self._branch(part, checkpoint, depth)) for path, part in by_path.items()]
        return Split(tuple(plain), tuple(branches))

    def _common_paths(self, draft: Draft, checkpoint: Checkpoint, depth: int) -> list[Path]:
        counts = Counter(leading[depth].path for _, leading in paced(draft, checkpoint) if len(leading) > depth)
        return [path for path, times in counts.most_common(_MAX_PATHS) if times >= self._split_from]

    def _branch(self, draft: Draft, checkpoint: Checkpoint, depth: int) -> dict[str, Bucket]:
        by_text: dict[str, Draft] = {}
        for item in paced(draft, checkpoint):
            for text in item[1][depth].texts:
                by_text.setdefault(text, []).append(item)
        return {text: self.make(part, checkpoint, depth + 1) for text, part in paced(by_text.items(), checkpoint)}


def pick(bucket: Bucket | list[Bucket], request: tuple[object, ...]) -> Leaf:
    """The entries of buckets that may match a request."""
    if type(bucket) is list:
        return merged([pick(part, request) for part in bucket])
    if type(bucket) is not Split:
        return cast("Leaf", bucket)
    if bucket.only is not None:
        reader, get = bucket.only
        below = get(reader(*request), ())
        return pick(below, request) if type(below) is Split else cast("Leaf", below)
    leaves = [pick(branch.get(reader(*request), ()), request) for reader, branch in bucket.branches]
    return merged([bucket.plain, *leaves])


def gather(node: dict[Any, Bucket], keys: Collection[object]) -> Bucket | list[Bucket] | None:
    """The bucket or buckets of a node under any of the keys; None where there is none."""
    if len(keys) > len(node):
        return _descend([node], keys)
    found: Bucket | list[Bucket] | None = None
    for key in keys:
        bucket = node.get(key)
        if bucket is None:
            continue
        if found is None:
            found = bucket
        elif type(found) is list:
            found.append(bucket)
        else:
            found = [cast("Bucket", found), bucket]
    return found


class Index:
    """Rules by key.

    Dimensions with one key per request (plain equality) come first and form one tuple; the others are levels
    of nested dicts below it, walked with every key of the request. Where there are two such levels or more,
    the outcome is remembered by the request's keys. Only names that the policy knows count as keys there, so
    no stream of requests can fill that memory with names of its own.
    """

    def __init__(
        self,
        dimensions: list[Dimension],
        roles: dict[str, Roles | DomainRoles],
        reader_of: Callable[[Path], Reader],
    ) -> None:
        order = sorted(range(len(dimensions)), key=lambda number: not _is_single(dimensions[number]))
        self.dimensions = [dimensions[number] for number in order]
        self._keys = [make_keys(dimension, roles) for dimension in self.dimensions]
        self.singles = sum(_is_single(dimension) for dimension in self.dimensions)
        self._buckets = Buckets(reader_of, _SPLIT_FROM if self.is_flat else _SPLIT_JOINED_FROM)
        self._remembers = len(self.dimensions) - self.singles > 1 and not any(
            dimension.domain or not isinstance(keys, EqualKeys | RoleKeys)
            for keys, dimension in zip(self._keys, self.dimensions, strict=True)
        )
        self._remembered: dict[tuple[str | None, ...], Bucket | list[Bucket]] = {}
        self.table: dict[Any, Any] = {}

    @property
    def remembered(self) -> dict[tuple[str | None, ...], Bucket | list[Bucket]] | None:
        """Outcomes by known keys, None where outcomes are not remembered."""
        return self._remembered if self._remembers else None

    @property
    def only_keys(self) -> Callable[[str, str], Collection[object]] | None:
        """Where there is one dimension beside plain equalities: its keys for a value and a domain."""
        return self._keys[-1].of_request if len(self.dimensions) - self.singles == 1 else None

    @property
    def known(self) -> list[dict[str, str]]:
        """Per dimension, the names that count as keys of what is remembered."""
        return [keys.known for keys in self._keys if isinstance(keys, EqualKeys | RoleKeys)]

    @property
    def is_flat(self) -> bool:
        """Whether the table maps keys straight to buckets."""
        return self.singles == len(self.dimensions)

    def add(self, row: Fields, entry: Entry, leading: tuple[Equality, ...]) -> None:
        """File a rule; rules come in row order."""
        keys = [keys.of_row(row) for keys in self._keys]
        first: Any = keys[0] if self.singles == 1 else tuple(keys[: self.singles])
        level = self.table
        path = [first, *keys[self.singles :]]
        for key in path[:-1]:
            level = level.setdefault(key, {})
        level.setdefault(path[-1], []).append((entry, leading))

    def finish(self, fuse: Fuse, checkpoint: Checkpoint) -> None:
        """Turn drafts into buckets once every rule is filed.

        Args:
            fuse: gives the leaves that are worth blocks, as such.
            checkpoint: called between units of work.
        """
        least = 2 if self.is_flat else 1
        ends: list[tuple[dict[Any, Any], Any, Bucket]] = []
        leaves: list[tuple[Entry, ...]] = []
        for level in self._levels(self.table, len(self.dimensions) - self.singles):
            for key, draft in paced(level.items(), checkpoint):
                bucket = self._buckets.make(draft, checkpoint)
                if len(draft) >= least:
                    ends.append((level, key, bucket))
                    leaves += [leaf for leaf in paced(_leaves(bucket), checkpoint) if len(leaf) >= least]
                level[key] = Part(draft, bucket) if self._remembers else bucket
        fused = fuse(leaves)
        for level, key, bucket in paced(ends if fused else (), checkpoint):
            done = _replaced(bucket, fused)
            level[key] = level[key]._replace(bucket=done) if self._remembers else done

    def _levels(self, level: dict[Any, Any], depth: int) -> Iterator[dict[Any, Any]]:
        """The dicts that hold drafts."""
        if depth == 0:
            yield level
            return
        for below in level.values():
            yield from self._levels(below, depth - 1)

    def resolve(self, *values: str) -> Bucket | list[Bucket]:
        """The bucket or buckets for the values of a request: one per dimension, a domain after its own."""
        pairs = self._pairs(values)
        if not self._remembers:
            found = self._collect(pairs)
            return found[0] if len(found) == 1 else found
        memo = tuple([keys.known.get(value) for keys, (value, _) in zip(self._keys, pairs, strict=True)])  # type: ignore[union-attr]
        known = self._remembered.get(memo)
        return self._remember(memo, pairs) if known is None else known

    def _pairs(self, values: tuple[str, ...]) -> list[tuple[str, str]]:
        rest = iter(values)
        return [(next(rest), next(rest) if dimension.domain else "") for dimension in self.dimensions]

    def _remember(self, memo: tuple[str | None, ...], pairs: list[tuple[str, str]]) -> Bucket | list[Bucket]:
        bucket = self._joined(self._collect(pairs))
        if len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[memo] = bucket
        return bucket

    def _joined(self, parts: list[Part]) -> Bucket | list[Bucket]:
        if len(parts) > _MAX_PARTS:
            # So many small ones are better told apart by what all of their conditions start with.
            return self._buckets.make(sorted([item for part in parts for item in part.draft], key=_row_of_draft))
        buckets = [part.bucket for part in parts]
        leaves = [bucket for bucket in buckets if not isinstance(bucket, Split)]
        return merged(leaves) if len(leaves) == len(buckets) else buckets

    def _collect(self, pairs: list[tuple[str, str]]) -> list[Any]:
        first: Any = pairs[0][0] if self.singles == 1 else tuple([value for value, _ in pairs[: self.singles]])
        node = self.table.get(first)
        if node is None:
            return []
        nodes = [node]
        for keys, (value, domain) in zip(self._keys[self.singles :], pairs[self.singles :], strict=True):
            nodes = _descend(nodes, keys.of_request(value, domain))
        return nodes


def _descend(nodes: list[dict[Any, Any]], keys: Collection[object]) -> list[Any]:
    found: list[Any] = []
    for node in nodes:
        if len(keys) <= len(node):
            found += [node[key] for key in keys if key in node]
        else:
            wanted = keys if isinstance(keys, frozenset) else set(keys)
            found += [child for key, child in node.items() if key in wanted]
    return found


def _row_of_draft(item: tuple[Entry, tuple[Equality, ...]]) -> int:
    return item[0][0]


def _leaves(bucket: Bucket) -> Iterator[tuple[Entry, ...]]:
    if isinstance(bucket, Split):
        yield from _leaves(bucket.plain)
        for _, branch in bucket.branches:
            for below in branch.values():
                yield from _leaves(below)
    elif isinstance(bucket, tuple):
        yield bucket


def _replaced(bucket: Bucket, fused: Mapping[tuple[Entry, ...], Fused]) -> Bucket:
    if isinstance(bucket, Fused):
        return bucket
    if not isinstance(bucket, Split):
        return fused.get(bucket, bucket)
    if fused:
        bucket.plain = cast("Leaf", _replaced(bucket.plain, fused))
    for _, branch in bucket.branches:
        branch.update({text: _replaced(below, fused) for text, below in branch.items()})
    return bucket


def _is_single(dimension: Dimension) -> bool:
    return dimension.function == "==" and dimension.wildcard is None


def flatten(bucket: Bucket) -> Iterator[Entry]:
    """Every entry of a bucket; an entry filed under several texts comes several times."""
    if not isinstance(bucket, Split):
        yield from bucket if isinstance(bucket, tuple) else bucket.entries()
        return
    yield from flatten(bucket.plain)
    for _, branch in bucket.branches:
        for below in branch.values():
            yield from flatten(below)
