/** Hashes, roots and proofs of RFC 6962 section 2.1, with SHA-256. Sizes and indexes are safe integers, so no shifts. */
import { hash } from 'node:crypto';
import { assert, must } from '#util/assert.ts';

export const HASH_BYTES = 32;
const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;

export const EMPTY_ROOT = hash('sha256', '', 'buffer');

/** Prefix and both children; filled anew for each node, since nothing here runs at the same time as itself. */
const node = Buffer.alloc(1 + 2 * HASH_BYTES, NODE_PREFIX);

export function leafHash(entry: Uint8Array): Buffer {
  return hash('sha256', Buffer.concat([Uint8Array.of(LEAF_PREFIX), entry]), 'buffer');
}

/** Of the entry in [start, end) of `bytes`. Overwrites the byte before it, which saves copying every entry of a log. */
export function leafHashInPlace(bytes: Buffer, start: number, end: number): Buffer {
  bytes[start - 1] = LEAF_PREFIX;
  return hash('sha256', bytes.subarray(start - 1, end), 'buffer');
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  node.set(left, 1);
  node.set(right, 1 + HASH_BYTES);
  return hash('sha256', node, 'buffer');
}

/** Root over hashes that stand one behind the other; their number is a power of two. */
export function perfectRoot(hashes: Buffer): Buffer {
  let level = hashes;
  while (level.length > HASH_BYTES) {
    const next = Buffer.allocUnsafe(level.length / 2);
    for (let at = 0; at < level.length; at += 2 * HASH_BYTES) {
      level.copy(node, 1, at, at + 2 * HASH_BYTES);
      hash('sha256', node, 'buffer').copy(next, at / 2);
    }
    level = next;
  }
  return level;
}

/** The largest perfect subtrees over hashes that stand one behind the other, left to right; none is smaller than the next. */
export function subtreeRoots(hashes: Buffer): Buffer[] {
  const roots: Buffer[] = [];
  let at = 0;
  while (at < hashes.length) {
    const bytes = HASH_BYTES * largestPower((hashes.length - at) / HASH_BYTES);
    roots.push(perfectRoot(hashes.subarray(at, at + bytes)));
    at += bytes;
  }
  return roots;
}

/** Root over subtrees as `subtreeRoots` gives them. */
export function joinRoots(subtrees: readonly Buffer[]): Buffer {
  let root = subtrees.at(-1) ?? EMPTY_ROOT;
  for (let i = subtrees.length - 2; i >= 0; i--) root = nodeHash(must(subtrees[i], 'subtree'), root);
  return root;
}

/** The hash of the entries [from, to): `from` is a multiple of the smallest power of two that is not below to − from. */
export type RangeHash = (from: number, to: number) => Buffer;

/** RFC 6962 section 2.1.1, from the sibling of the leaf to the child of the root. */
export function inclusionPath(index: number, size: number, rangeHash: RangeHash): Buffer[] {
  assert(index >= 0 && index < size, 'the entry is in the tree');
  const path: Buffer[] = [];
  let [from, to] = [0, size];
  while (to - from > 1) {
    const middle = from + splitOf(to - from);
    if (index < middle) {
      path.push(rangeHash(middle, to));
      to = middle;
    } else {
      path.push(rangeHash(from, middle));
      from = middle;
    }
  }
  return path.toReversed();
}

/** RFC 6962 section 2.1.2. */
export function consistencyPath(oldSize: number, size: number, rangeHash: RangeHash): Buffer[] {
  assert(oldSize > 0 && oldSize <= size, 'the old tree is not empty and not larger');
  const path: Buffer[] = [];
  let [from, to] = [0, size];
  while (to !== oldSize) {
    const middle = from + splitOf(to - from);
    if (oldSize <= middle) {
      path.push(rangeHash(middle, to));
      to = middle;
    } else {
      path.push(rangeHash(from, middle));
      from = middle;
    }
  }
  // The old tree itself is known to whoever asks.
  if (from > 0) path.push(rangeHash(from, to));
  return path.toReversed();
}

/** The root that a proof leads to (RFC 9162 section 2.1.3.2); null where it is no proof for this index and size. */
export function rootOfInclusion(leaf: Buffer, index: number, size: number, path: readonly Buffer[]): Buffer | null {
  if (index < 0 || index >= size) return null;
  let [at, last, root] = [index, size - 1, leaf];
  for (const sibling of path) {
    if (last === 0) return null;
    if (isOdd(at) || at === last) {
      root = nodeHash(sibling, root);
      while (!isOdd(at) && at !== 0) [at, last] = [half(at), half(last)];
    } else {
      root = nodeHash(root, sibling);
    }
    [at, last] = [half(at), half(last)];
  }
  return last === 0 ? root : null;
}

interface Tree {
  readonly size: number;
  readonly root: Buffer;
}

/** Whether `path` shows that the entries of `old` are the first of `tree` (RFC 9162 section 2.1.4.2). */
export function isConsistent(old: Tree, tree: Tree, path: readonly Buffer[]): boolean {
  if (old.size > tree.size) return false;
  if (old.size === tree.size) return path.length === 0 && old.root.equals(tree.root);
  if (old.size === 0) return path.length === 0 && old.root.equals(EMPTY_ROOT);
  const hashes = largestPower(old.size) === old.size ? [old.root, ...path] : path;
  let [at, last] = [old.size - 1, tree.size - 1];
  while (isOdd(at)) [at, last] = [half(at), half(last)];
  const [first] = hashes;
  if (first === undefined || path.length === 0) return false;
  let [oldRoot, root] = [first, first];
  for (const sibling of hashes.slice(1)) {
    if (last === 0) return false;
    if (isOdd(at) || at === last) {
      [oldRoot, root] = [nodeHash(sibling, oldRoot), nodeHash(sibling, root)];
      while (!isOdd(at) && at !== 0) [at, last] = [half(at), half(last)];
    } else {
      root = nodeHash(root, sibling);
    }
    [at, last] = [half(at), half(last)];
  }
  return last === 0 && oldRoot.equals(old.root) && root.equals(tree.root);
}

/** Where a tree of more than one entry is split: the largest power of two below its size. */
function splitOf(size: number): number {
  return largestPower(size - 1);
}

/** The largest power of two that is not above `count`, which is not 0. */
function largestPower(count: number): number {
  let power = 1;
  while (2 * power <= count) power *= 2;
  return power;
}

const half = (value: number): number => Math.floor(value / 2);
const isOdd = (value: number): boolean => value % 2 === 1;
