/** The terminal dashboard on a real server room: what is drawn, what keys do, and what becomes of it when the server goes. */
import { stripVTControlCharacters } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import type { Io } from '#cli/io.ts';
import { settle } from '#testing/manual-clock.ts';
import { playedIncident, playedStatus } from '#testing/played-control-plane.ts';
import { PlayedShell } from '#testing/played-shell.ts';
import { afterEvent, emptyBoard } from './board.ts';
import { liveEvents } from './live-events.ts';

async function withJobs(role = 'admin'): Promise<PlayedShell> {
  const shell = await PlayedShell.signedIn(role);
  const admin = await shell.plane.as('admin');
  for (const name of ['east', 'west']) await admin('POST', '/api/v1/clusters', { name, bootstrap: [`${name}:9092`] });
  for (const name of ['orders', 'payments'])
    await admin('POST', '/api/v1/jobs', { name, source: 'east', target: 'west', topics: [{ match: name }] });
  return shell;
}

/** Somebody at a terminal of a size that changes. */
class Terminal {
  columns = 100;
  rows = 24;
  written = '';
  press: (key: string) => void = () => {};
  resize: () => void = () => {};
  interrupt: () => void = () => {};

  readonly io: Partial<Io> = {
    isTty: true,
    out: (text) => void (this.written += text),
    columns: () => this.columns,
    rows: () => this.rows,
    onKey: (listener) => {
      this.press = listener;
      return () => (this.press = () => {});
    },
    onResize: (listener) => {
      this.resize = listener;
      return () => {};
    },
    onInterrupt: (listener) => (this.interrupt = listener),
  };

  /** The lines of the last frame. */
  get lines(): string[] {
    const last = this.written.split('\u001B[H').at(-1) ?? '';
    return stripVTControlCharacters(last).split('\n').slice(0, -1);
  }

  get screen(): string {
    return this.lines.join('\n');
  }
}

/** Lets time pass until the screen shows it. */
async function shows(shell: PlayedShell, terminal: Terminal, pattern: RegExp): Promise<void> {
  for (let round = 0; round < 200; round++) {
    if (pattern.test(terminal.screen)) return;
    await shell.plane.clock.advance(100);
    await settle();
  }
  throw new Error(`never shown: ${pattern}\n${terminal.screen}`);
}

async function watching(
  shell: PlayedShell,
  line = 'dashboard',
): Promise<{ terminal: Terminal; ended: Promise<{ code: number; err: string }> }> {
  const terminal = new Terminal();
  const ended = shell.run(line, { io: terminal.io });
  onTestFinished(async () => {
    terminal.press('q');
    await ended;
  });
  await shows(shell, terminal, /live \d/);
  return { terminal, ended };
}

async function jobNamed(shell: PlayedShell, name: string) {
  const { job } = await shell.json<{ job: { id: string; desired: string } }>(`jobs get ${name}`);
  return job;
}

test('acc-M-179 reg-M-200: what is shown is what the server says, and unknown where it says nothing', async () => {
  const shell = await withJobs();
  const { terminal, ended } = await watching(shell);
  await shows(shell, terminal, /payments/);
  expect(terminal.screen).toMatch(/> orders +stopped +east +west +– +– +/);
  const { id } = await jobNamed(shell, 'orders');
  await shell.run('jobs start orders');
  const play = (records: number): void =>
    shell.plane.runner.play(id, {
      state: 'running',
      failedReason: null,
      status: playedStatus({ recordsCopied: records, incident: records > 5_000 ? playedIncident() : null }),
      since: 0,
    });
  play(0);
  await shows(shell, terminal, /> orders +running +east +west +10 +– +0/);
  await shell.plane.clock.advance(1_000);
  play(5_000);
  await shows(shell, terminal, /> orders +running +east +west +10 +[1-9][\d,]* +0/);
  play(6_000);
  await shows(shell, terminal, /> orders +running .* 1$/m);
  terminal.press('return');
  expect(terminal.screen).toContain('TOPIC/PARTITION');
  expect(terminal.screen).toContain('SHARD_RETENTION_LOSS');
  terminal.press('3');
  expect(terminal.screen).toMatch(/\[3 Incidents 1\]/);
  expect(terminal.screen).toContain('The source deleted records.');
  terminal.press('1');
  await shows(shell, terminal, /> east +active +yes +played-cluster-id/);
  expect(terminal.screen).not.toMatch(/user-events|99\.9|< 10ms/);
  terminal.press('q');
  expect(await ended).toMatchObject({ code: 0, err: '' });
  expect(terminal.written.endsWith('\u001B[?25h\u001B[?1049l')).toBe(true);
});

test('M-200: keys move, open, and ask before they act', async () => {
  const shell = await withJobs();
  const { terminal } = await watching(shell);
  await shows(shell, terminal, /payments/);
  terminal.press('j');
  expect(terminal.screen).toContain('> payments');
  terminal.press('down');
  expect(terminal.screen).toContain('> payments');
  terminal.press('s');
  expect(terminal.lines.at(-1)).toBe('start payments? y does it, every other key does not');
  terminal.press('n');
  expect((await jobNamed(shell, 'payments')).desired).toBe('stopped');
  terminal.press('s');
  terminal.press('y');
  await shows(shell, terminal, /payments: \w+, wanted started/);
  expect((await jobNamed(shell, 'payments')).desired).toBe('started');
  terminal.press('p');
  terminal.press('y');
  await shows(shell, terminal, /wanted paused/);
  terminal.press('l');
  expect(terminal.screen).toContain('[3 Incidents 0]');
  terminal.press('left');
  terminal.press('h');
  expect(terminal.screen).toContain('[1 Clusters 2]');
  terminal.press('tab');
  expect(terminal.screen).toContain('1@broker:9092');
  terminal.press('b');
  expect(terminal.screen).toContain('> east');
  terminal.press('4');
  expect(terminal.screen).toContain('no reports');
});

test('who may not act is offered nothing, and keys do nothing', async () => {
  const shell = await withJobs('monitoring');
  const { terminal } = await watching(shell);
  await shows(shell, terminal, /payments/);
  expect(terminal.lines.at(-1)).not.toContain('start');
  terminal.press('s');
  expect(terminal.lines.at(-1)).not.toContain('?');
  terminal.press('4');
  expect(terminal.screen).toContain('reports are not for this account');
});

test('a terminal of any size holds a frame, also after it has changed', async () => {
  const shell = await withJobs();
  const { terminal } = await watching(shell);
  await shows(shell, terminal, /payments/);
  for (const [columns, rows] of [
    [100, 24],
    [40, 10],
    [20, 7],
    [200, 60],
  ] as const) {
    Object.assign(terminal, { columns, rows });
    terminal.resize();
    expect(terminal.lines.length).toBeLessThan(rows);
    for (const line of terminal.lines.slice(1)) expect(line.length).toBeLessThanOrEqual(columns);
  }
});

test('Ctrl-C ends it with 130, and gives the terminal back', async () => {
  const shell = await withJobs();
  const { terminal, ended } = await watching(shell);
  terminal.interrupt();
  expect((await ended).code).toBe(130);
  expect(terminal.written.endsWith('\u001B[?25h\u001B[?1049l')).toBe(true);
});

test('a connection that ends is opened again; a session that is over ends the dashboard', async () => {
  const shell = await withJobs();
  let opened = 0;
  const { web } = shell;
  const open = web.open.bind(web);
  const cut = new AbortController();
  Object.assign(shell.web, {
    open: async (request: Parameters<typeof open>[0]) => {
      opened++;
      const signal = opened === 1 ? AbortSignal.any([request.signal, cut.signal]) : request.signal;
      const stream = await open({ ...request, signal });
      return { ...stream, chunks: opened === 1 ? until(stream.chunks, cut.signal) : stream.chunks };
    },
  });
  const { terminal, ended } = await watching(shell);
  await shows(shell, terminal, /payments/);
  cut.abort();
  await shows(shell, terminal, /not live for/);
  await shows(shell, terminal, /live \d/);
  expect(opened).toBe(2);
  await shell.run('users reset-token');
  await shell.plane.clock.advance(1_000);
  for (let round = 0; round < 100; round++) await shell.plane.clock.advance(1_000);
  expect(await ended).toMatchObject({ code: 4 });
});

async function* until(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  const aborted = new Promise<null>((resolve) => signal.addEventListener('abort', () => resolve(null), { once: true }));
  for (;;) {
    const next = await Promise.race([iterator.next(), aborted]);
    if (next === null || next.done) return;
    yield next.value;
  }
}

test('--once prints one frame without moving the cursor, whole where it is no terminal', async () => {
  const shell = await withJobs();
  const { code, out } = await shell.run('dashboard --once');
  expect(code).toBe(0);
  expect(out).not.toContain('\u001B');
  expect(out).toMatch(/> orders +stopped +east +west/);
  expect((await shell.run('dashboard --once --view clusters')).out).toMatch(/> east +active +yes/);
  const { jobs, clusters } = await shell.json<{ jobs: unknown[]; clusters: unknown[] }>('dashboard --once');
  expect([jobs.length, clusters.length]).toEqual([2, 2]);
  expect((await shell.run('dashboard --once --view job')).err).toContain('did you mean "jobs"?');
});

async function eventsOf(...chunks: readonly string[]): Promise<unknown[]> {
  const events: unknown[] = [];
  let heard = 0;
  const bytes = chunks.map((chunk) => new TextEncoder().encode(chunk));
  for await (const event of liveEvents(stream(bytes), () => heard++)) events.push(event);
  expect(heard).toBe(chunks.length);
  return events;
}

async function* stream(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

test('events come out whole, however they were cut up', async () => {
  const text =
    'event: reset\ndata: {"type":"reset","at":1}\n\n:\n\ndata: {"type":"job-deleted",\ndata: "id":"a","at":2}\r\n\r\n';
  const whole = [
    { type: 'reset', at: 1 },
    { type: 'job-deleted', id: 'a', at: 2 },
  ];
  expect(await eventsOf(text)).toEqual(whole);
  expect(await eventsOf(...text.split(''))).toEqual(whole);
  await expect(eventsOf('data: <html>\n\n')).rejects.toThrow('what is no event');
});

test('an event of a newer server, and one of a job that is not known, change nothing', () => {
  const board = emptyBoard('jobs', 0);
  expect(afterEvent(board, { type: 'later', at: 1 } as never)).toBe(board);
  expect(afterEvent(board, { type: 'progress', id: 'x', partitions: [], at: 1 })).toBe(board);
});
