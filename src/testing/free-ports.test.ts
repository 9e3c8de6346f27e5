import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { freePorts } from './free-ports.ts';

test('gives different ports outside the range from which the kernel takes ports of outgoing connections', async () => {
  const ephemeral = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1').split(/\s+/).map(Number);

  const ports = await freePorts(50);

  expect(new Set(ports).size).toBe(50);
  for (const port of ports) expect(port).toBeLessThan(ephemeral[0] ?? 0);
});
