import { expect, onTestFinished, test } from 'vitest';
import { JavaHost } from './java-host.ts';

/** Of nobody: a question without steps asks no broker. */
const bootstrap = '127.0.0.1:1';
const nothing = JSON.stringify({ bootstrap, steps: [] });

async function newHost(): Promise<JavaHost> {
  const host = await JavaHost.start(64);
  onTestFinished(() => host.retire());
  return host;
}

test('questions at the same time get their own answers, and one that fails says why', async () => {
  const host = await newHost();
  const [admin, failed, group, unknown] = await Promise.allSettled([
    host.ask('TopicAdmin', nothing, 60_000),
    host.ask('TopicAdmin', '{', 60_000),
    host.ask('GroupClient', nothing, 60_000),
    host.ask('NoSuchTool', '', 60_000),
  ]);
  expect(admin).toEqual({ status: 'fulfilled', value: '[]\n' });
  expect(failed).toMatchObject({
    status: 'rejected',
    reason: { message: expect.stringContaining('JsonEOFException') },
  });
  expect(group).toEqual({ status: 'fulfilled', value: '' });
  expect(unknown).toMatchObject({ status: 'rejected', reason: { message: expect.stringContaining('NoSuchTool') } });
});

test("a tool that closes its output closes nobody else's", async () => {
  const host = await newHost();
  const read = { bootstrap, isolation: 'read_committed', topics: [], every: 1, timestamps: true, ranges: [] };
  expect(await host.ask('RecordDump', JSON.stringify({ mode: 'records', reads: [read] }), 60_000)).toBe('\n');
  expect(await host.ask('TopicAdmin', nothing, 60_000)).toBe('[]\n');
});

test('what a question waits for counts from its own beginning', async () => {
  const host = await newHost();
  for (let times = 0; times < 2; times++) {
    const startedAt = performance.now();
    await host.ask('TopicAdmin', JSON.stringify({ bootstrap, steps: [{ at: 300 }] }), 60_000);
    expect(performance.now() - startedAt).toBeGreaterThan(290);
  }
});

test('a question that takes too long fails alone, and the JVM takes no others', async () => {
  const host = await newHost();
  const late = host.ask('TopicAdmin', JSON.stringify({ bootstrap, steps: [{ describe: ['x'] }] }), 1_000);
  const answered = host.ask('TopicAdmin', nothing, 60_000);
  await expect(late).rejects.toThrow('did not end within 1000 ms');
  expect(host.isGone).toBe(true);
  expect(await answered).toBe('[]\n');
});
