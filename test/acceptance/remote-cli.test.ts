/** Commands as a shell script uses them, against the server room with everything around it played. */
import { expect, onTestFinished, test } from 'vitest';
import { PASSWORD, playControlPlane } from '#testing/played-control-plane.ts';
import { runScript, scripts } from './remote-cli.ts';

test.each(scripts)('%s', { timeout: 240_000 }, async (name) => {
  const plane = await playControlPlane();
  onTestFinished(() => plane.server.close());
  await plane.as('admin');
  const address = await plane.http.listen({ host: '127.0.0.1', port: 0 });
  const server = { address, admin: 'admin', password: PASSWORD, brokers: '127.0.0.1:1 127.0.0.1:2' };
  expect(await runScript(name, server)).toBe('');
});

test('a script that meets what it does not expect fails', { timeout: 60_000 }, async () => {
  const server = { address: 'http://127.0.0.1:9', admin: 'admin', password: 'x', brokers: '127.0.0.1:1 127.0.0.1:2' };
  expect(await runScript('people.sh', server)).toContain('FAILED: lockstep login');
});
