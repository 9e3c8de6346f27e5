import { expect, test } from 'vitest';
import { ManualClock, settle } from '#testing/manual-clock.ts';
import { ScriptedNetwork } from '#testing/scripted-network.ts';
import type { ConnectOptions, Socket } from '#util/network.ts';
import { createRandom } from '#util/random.ts';
import { createAddressCheck } from './advertised.ts';
import { Cluster } from './cluster.ts';
import { FramePool } from './frame.ts';

const none = { deny: [], allow: [] };

test.each([
  ['169.254.169.254', 'a link-local address (169.254.0.0/16)'],
  ['::ffff:169.254.169.254', 'a link-local address (169.254.0.0/16)'],
  ['fe80::1%eth0', 'a link-local address (fe80::/10)'],
  ['fd00:ec2::254', "the address of a cloud's metadata service (fd00:ec2::254)"],
  ['0.0.0.0', 'no address of a machine (0.0.0.0/8)'],
  ['::', 'no address of a machine (::)'],
  ['239.1.2.3', 'a multicast address (224.0.0.0/4)'],
  ['255.255.255.255', 'a reserved address (240.0.0.0/4)'],
  ['127.0.0.1', 'the loopback address (127.0.0.0/8)'],
  ['::1', 'the loopback address (::1)'],
])('%s is refused by itself: %s', (address, reason) => {
  expect(createAddressCheck(none, ['kafka.example'])(address)).toBe(`a broker is advertised at ${address}, ${reason}`);
});

test('addresses of networks are admitted, private ones too', () => {
  const check = createAddressCheck(none, ['kafka.example']);
  for (const address of ['10.0.0.7', '192.168.1.1', '172.16.0.1', 'fd12::1', '8.8.8.8', '2001:db8::1'])
    expect([address, check(address)]).toEqual([address, null]);
});

test.each(['127.0.0.1', '127.8.8.8', '::1', 'localhost', 'LOCALHOST.', '::ffff:127.0.0.1'])(
  'the loopback address is admitted where bootstrap is %s, and the others still are not',
  (host) => {
    const check = createAddressCheck(none, ['kafka.example', host]);
    expect(check('127.0.0.1')).toBeNull();
    expect(check('169.254.169.254')).not.toBeNull();
  },
);

test('deny comes before allow, and allow before what is refused by itself; with allow nothing else is admitted', () => {
  const rules = { allow: ['10.0.0.0/8', '127.0.0.1'], deny: ['10.9.0.0/16'] };
  const check = createAddressCheck(rules, ['kafka.example']);
  expect(check('10.1.1.1')).toBeNull();
  expect(check('127.0.0.1')).toBeNull();
  expect(check('10.9.1.1')).toBe('a broker is advertised at 10.9.1.1, which advertised.deny holds (10.9.0.0/16)');
  expect(check('127.0.0.2')).toBe('a broker is advertised at 127.0.0.2, which advertised.allow does not hold');
});

/** Notes for each host whether its addresses are to be checked, and against what. */
class NotingNetwork extends ScriptedNetwork {
  readonly admits = new Map<string, ConnectOptions['admit']>();

  override connect(options: ConnectOptions): Socket {
    this.admits.set(options.host, options.admit);
    return super.connect(options);
  }
}

test('what a broker advertises is checked at each connect, and what the file names is not', async () => {
  const network = new NotingNetwork();
  const clock = new ManualClock();
  const pool = new FramePool({ bytesMax: 1024 });
  const options = { network, clock, pool, random: createRandom(1) };
  const cluster = new Cluster({ name: 'east', bootstrap: ['127.0.0.1:1', '[fe80::1]:2'], ...options });
  cluster.connect().catch(() => {});
  network.peer.close(new Error('no'));
  await settle();
  expect([...network.admits]).toEqual([
    ['127.0.0.1', undefined],
    ['fe80::1', undefined],
  ]);
  cluster.close();
});
