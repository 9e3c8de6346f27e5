/** Ports for servers that keep their port over restarts. */
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';

const lowest = 10_240;

/**
 * `count` different ports that are free on 127.0.0.1 and that no other caller of this function gets while this process
 * lives, so that a broker finds its port again when it comes back. They lie below the kernel's ephemeral range:
 * inside it an outgoing connection could take the port of a broker that is down, or, dialling that port again and
 * again, connect to itself (TCP simultaneous open).
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = lowest + Math.floor(Math.random() * (ephemeralStart() - lowest));
    if ((await reserve(port)) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

function ephemeralStart(): number {
  const start = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1').split(/\s+/)[0]);
  return start > lowest + 1000 ? start : 32_768;
}

/** False: reserved already. The mark is a socket that listens at the same port of another loopback address; it ends with us. */
async function reserve(port: number): Promise<boolean> {
  const mark = await listen(port, '127.0.0.2');
  return mark !== null;
}

async function isFree(port: number): Promise<boolean> {
  const probe = await listen(port, '127.0.0.1');
  if (probe === null) return false;
  await new Promise((resolve) => probe.close(resolve));
  return true;
}

/** A server that keeps nobody running; null where the port is taken. */
function listen(port: number, host: string): Promise<Server | null> {
  return new Promise((resolve) => {
    const server = createServer().unref();
    server.once('error', () => resolve(null));
    server.listen({ port, host, exclusive: true }, () => resolve(server));
  });
}
