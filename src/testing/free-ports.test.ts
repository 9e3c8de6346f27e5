import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { must } from '#util/assert.ts';
import { freePorts } from './free-ports.ts';

test('gives different ports outside the range from which the kernel takes ports of outgoing connections', async () => {
  const ephemeral = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1').split(/\s+/).map(Number);

  const ports = await freePorts(50);

  expect(new Set(ports).size).toBe(50);
  for (const port of ports) expect(port).toBeLessThan(ephemeral[0] ?? 0);
});

test('reserves a port against other runs on this machine', async () => {
  const port = must((await freePorts(1))[0], 'a port');

  const code = await new Promise((resolve) => {
    const another = createServer();
    another.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    another.listen({ port, host: '127.0.0.2' }, () => resolve('listens'));
  });

  expect(code).toBe('EADDRINUSE');
});
