/** Against the vectors of RFC 6962's implementations (Certificate Transparency, transparency-dev), and each against the other. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  consistencyPath,
  EMPTY_ROOT,
  inclusionPath,
  isConsistent,
  joinRoots,
  leafHash,
  nodeHash,
  rootOfInclusion,
  subtreeRoots,
} from './merkle.ts';

const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
/** Of the first leaf, the first two, and so on. */
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const leaves = LEAVES.map((hex) => leafHash(Buffer.from(hex, 'hex')));
const rangeHash = (from: number, to: number): Buffer => joinRoots(subtreeRoots(Buffer.concat(leaves.slice(from, to))));
const hex = (hashes: readonly Buffer[]): string[] => hashes.map((hash) => hash.toString('hex'));

/** RFC 6962 section 2.1, as it is written there. */
function treeHash(hashes: readonly Buffer[]): Buffer {
  if (hashes.length === 0) return EMPTY_ROOT;
  if (hashes.length === 1) return hashes[0]!;
  let k = 1;
  while (2 * k < hashes.length) k *= 2;
  return nodeHash(treeHash(hashes.slice(0, k)), treeHash(hashes.slice(k)));
}

test('the hashes of leaves, the empty tree and the first eight trees are those of the vectors', () => {
  expect(EMPTY_ROOT.toString('hex')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  expect(hex(ROOTS.map((_, i) => rangeHash(0, i + 1)))).toEqual(ROOTS);
  expect(rangeHash(0, 0)).toEqual(EMPTY_ROOT);
});

const A = '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7';
const B = '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e';
const C = '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4';
const D = 'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b';
const E = 'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0';
const F = '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a';
const G = 'b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f';

test.each([
  [0, 1, []],
  [0, 8, [A, B, C]],
  [5, 8, [D, E, ROOTS[3]!]],
  [2, 3, [ROOTS[1]!]],
  [1, 5, [ROOTS[0]!, B, D]],
])('the inclusion path of entry %i in a tree of %i is that of the vectors', (index, size, path) => {
  expect(hex(inclusionPath(index, size, rangeHash))).toEqual(path);
});

test.each([
  [1, 1, []],
  [1, 8, [A, B, C]],
  [6, 8, [F, E, ROOTS[3]!]],
  [2, 5, [B, D]],
  [6, 7, [F, G, ROOTS[3]!]],
])('the consistency path from %i to %i entries is that of the vectors', (old, size, path) => {
  expect(hex(consistencyPath(old, size, rangeHash))).toEqual(path);
});

describe('proofs', () => {
  const many = Array.from({ length: 512 }, (_, i) => leafHash(Buffer.from(String(i))));
  const hashOf = (from: number, to: number): Buffer => joinRoots(subtreeRoots(Buffer.concat(many.slice(from, to))));
  const sizes = fc.integer({ min: 1, max: 512 });

  test('the root of any range is that of the definition', () => {
    fc.assert(
      fc.property(sizes, (size) => {
        expect(hashOf(0, size)).toEqual(treeHash(many.slice(0, size)));
      }),
    );
  });

  test('an inclusion proof holds for its entry, and for no other, nor when a bit of it is changed', () => {
    const cases = fc.tuple(sizes, fc.nat(), fc.nat(), fc.nat());
    fc.assert(
      fc.property(cases, ([size, place, other, bit]) => {
        const index = place % size;
        const root = hashOf(0, size);
        const path = inclusionPath(index, size, hashOf);
        expect(rootOfInclusion(many[index]!, index, size, path)).toEqual(root);
        const isOther = other % size !== index;
        const found = [
          rootOfInclusion(many[other % size]!, index, size, path),
          rootOfInclusion(many[index]!, other % size, size, path),
        ];
        expect(isOther && found.some((each) => each?.equals(root))).toBe(false);
        expect(rootOfInclusion(many[index]!, index, size, [...path, root])).not.toEqual(root);
        if (path.length === 0) return;
        expect(rootOfInclusion(many[index]!, index, size, path.slice(1))).not.toEqual(root);
        const changed = path.map((hash) => Buffer.from(hash));
        changed[bit % path.length]![bit % 32]! ^= 1 << (bit % 8);
        expect(rootOfInclusion(many[index]!, index, size, changed)).not.toEqual(root);
      }),
    );
  });

  test('a consistency proof holds for its two trees, and not when either or a bit of it is another', () => {
    fc.assert(
      fc.property(sizes, sizes, fc.nat(), (a, b, bit) => {
        const [oldSize, size] = [Math.min(a, b), Math.max(a, b)];
        const [old, tree] = [
          { size: oldSize, root: hashOf(0, oldSize) },
          { size, root: hashOf(0, size) },
        ];
        const path = consistencyPath(oldSize, size, hashOf);
        expect(isConsistent(old, tree, path)).toBe(true);
        expect(isConsistent({ ...old, root: many[511]! }, tree, path)).toBe(false);
        expect(isConsistent(old, { ...tree, root: many[511]! }, path)).toBe(false);
        expect(isConsistent(old, tree, [...path, tree.root])).toBe(false);
        expect(isConsistent({ ...tree, size: size + 1 }, tree, path)).toBe(false);
        if (path.length === 0) return;
        expect(isConsistent(old, tree, [])).toBe(false);
        const changed = path.map((hash) => Buffer.from(hash));
        changed[bit % path.length]![bit % 32]! ^= 1 << (bit % 8);
        expect(isConsistent(old, tree, changed)).toBe(false);
      }),
    );
  });

  test('every tree follows the empty one, and only with its own root', () => {
    const tree = { size: 3, root: hashOf(0, 3) };
    expect(isConsistent({ size: 0, root: EMPTY_ROOT }, tree, [])).toBe(true);
    expect(isConsistent({ size: 0, root: tree.root }, tree, [])).toBe(false);
  });
});
