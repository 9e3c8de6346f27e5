/** What `lockstep config edit` changes of a real server has an effect on it. */
import { expect, test } from 'vitest';
import { startServed } from './served-cli.ts';

const WAIT_MS = 600_000;

test(
  'reg-M-170: origins that are set let their pages call at once, and a host is where the server listens from its next start',
  { timeout: WAIT_MS },
  async () => {
    const { server, shell } = await startServed();
    const origin = 'https://ops.example';
    const allowed = async (): Promise<string | null> => {
      const { headers } = await fetch(`${server.url}/health`, { headers: { origin } });
      return headers.get('access-control-allow-origin');
    };

    expect(await allowed()).toBeNull();
    const edited = shell.run(['config', 'edit', 'server', 'cors.allowedOrigins', origin]);
    expect(edited).toMatchObject({ code: 0, out: expect.stringContaining('holds at once') });
    expect(await allowed()).toBe(origin);
    expect(shell.run(['config', 'edit', 'server', 'cors.allowedOrigins', '*']).code).toBe(2);
    expect(await allowed()).toBe(origin);

    const host = '127.0.0.3';
    const moved = shell.run(['config', 'edit', 'server', 'host', host]);
    expect(moved).toMatchObject({ code: 0, out: expect.stringContaining('holds after a restart') });
    const { port } = new URL(server.url);
    const health = (at: string) => fetch(`http://${at}:${port}/health`).then(({ status }) => status);
    expect(await health('127.0.0.1')).toBe(200);
    await server.stop();
    await server.start();
    expect(await health(host)).toBe(200);
    await expect(health('127.0.0.1')).rejects.toThrow('fetch failed');
    expect(await server.stop()).toBe(0);
  },
);
