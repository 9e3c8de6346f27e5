import { isIP } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isInRange, parseIp, parseIpRange } from './ip-address.ts';
import { must } from './assert.ts';

test.each([
  ['127.0.0.1', '::ffff:127.0.0.1'],
  ['127.0.0.1', '::ffff:7f00:1'],
  ['169.254.169.254', '64:ff9b::a9fe:a9fe'],
  ['10.1.2.3', '64:ff9b::10.1.2.3'],
  ['fe80::1', 'FE80:0:0:0:0:0:0:1'],
  ['fe80::1', 'fe80::1%eth0'],
])('%s and %s are one address', (one, other) => {
  expect(parseIp(one)).not.toBeNull();
  expect(parseIp(one)).toBe(parseIp(other));
});

test('what is an address is what the runtime takes for one', () => {
  const texts = [
    '0x7f.1',
    '127.1',
    '2130706433',
    '0177.0.0.1',
    '1.2.3.4.',
    '1.2.3.256',
    '::1::',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:1.2.3.4',
    '::1.2.3',
    'localhost',
    '',
    '[::1]',
    '::',
    '::ffff:0:0',
  ];
  expect(texts.map((text) => [text, parseIp(text) !== null])).toEqual(texts.map((text) => [text, isIP(text) !== 0]));
  fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => (parseIp(text) !== null) === (isIP(text) !== 0)));
});

test.each([
  ['10.0.0.0/8', ['10.0.0.0', '10.255.255.255', '::ffff:10.1.1.1'], ['9.255.255.255', '11.0.0.0', '::a']],
  ['192.168.1.7', ['192.168.1.7'], ['192.168.1.6', '192.168.1.8']],
  ['fe80::/10', ['fe80::', 'febf::1'], ['fec0::', '127.0.0.1']],
  ['0.0.0.0/0', ['1.2.3.4'], ['::1', 'fe80::1']],
])('%s holds %s and not %s', (text, inside, outside) => {
  const range = must(parseIpRange(text), 'range');
  for (const address of inside)
    expect([address, isInRange(must(parseIp(address), address), range)]).toEqual([address, true]);
  for (const address of outside)
    expect([address, isInRange(must(parseIp(address), address), range)]).toEqual([address, false]);
});

test.each(['10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/', '10.0.0/8', 'fe80::/129', 'x/8', '10.0.0.0/8/8', '::/x'])(
  '%s is no range',
  (text) => {
    expect(parseIpRange(text)).toBeNull();
  },
);
