/** The dashboard at a terminal: live events and keys change the board, the board is drawn. Nothing is shown that was not measured. */
import type { LiveEvent } from '#contract/api/routes/watching.ts';
import { isAllowedSomewhere, type Grant } from '#contract/api/permissions.ts';
import { AppError } from '#contract/errors.ts';
import { Backoff } from '#util/backoff.ts';
import { sleep } from '#util/clock.ts';
import { RateMeter, type Rates } from '../progress/rates.ts';
import type { Remote } from '../remote/remote-verb.ts';
import {
  afterAsk,
  afterEvent,
  afterMove,
  emptyBoard,
  type Action,
  type Board,
  type JobBoard,
  type View,
} from './board.ts';
import { liveEvents } from './live-events.ts';
import { renderFrame } from './screen.ts';

/** Live state comes at most twice a second; the clock in the heading goes on without it. */
const DRAW_MS = 1_000;
/** What no event tells of: clusters and reports. */
const LOOK_MS = 30_000;

/** The server says something every 15 s at least. */
const SILENCE_MS = 45_000;

/** Into another screen, which the shell's text does not scroll in, without a cursor; and back. */
const ENTER = '\u001B[?1049h\u001B[?25l';
const LEAVE = '\u001B[?25h\u001B[?1049l';

const PERMISSIONS = { start: 'jobs:start', restart: 'jobs:start', stop: 'jobs:stop', pause: 'jobs:pause' } as const;
const OPERATIONS = { start: 'startJob', restart: 'restartJob', stop: 'stopJob', pause: 'pauseJob' } as const;

export class Dashboard {
  board: Board;
  readonly #remote: Remote;
  readonly #who: string;
  readonly #grants: readonly Grant[];
  readonly #allowed: ReadonlySet<Action>;
  readonly #meters = new Map<string, RateMeter>();
  readonly #rates = new Map<string, Rates | null>();
  readonly #stop = new AbortController();

  private constructor(remote: Remote, me: { username: string; roles: string[]; grants: readonly Grant[] }, view: View) {
    this.#remote = remote;
    this.#who = `${me.username} (${me.roles.join(', ')})`;
    this.#grants = me.grants;
    const actions = Object.keys(PERMISSIONS) as Action[];
    this.#allowed = new Set(actions.filter((action) => isAllowedSomewhere(me.grants, PERMISSIONS[action])));
    this.board = emptyBoard(view, remote.host.clock.now());
  }

  static async open(remote: Remote, view: View): Promise<Dashboard> {
    const me = await remote.api.call('getMe', {});
    return new Dashboard(remote, { ...me, grants: me.grants as readonly Grant[] }, view);
  }

  /** All that one frame shows, asked for once. */
  async readAll(): Promise<void> {
    const { api, host } = this.#remote;
    const jobs: JobBoard[] = [];
    for (const job of await api.all('listJobs', {})) {
      const { partitions, incidents } = await api.call('getJobStatus', { params: { id: job.id } });
      jobs.push({ job, partitions, incidents, at: host.clock.now() });
    }
    this.board = { ...this.board, jobs: new Map(jobs.map((each) => [each.job.id, each])) };
    await this.look();
    this.board = { ...this.board, link: { isLive: true, since: host.clock.now(), why: null } };
  }

  frame(io = this.#remote.io): string[] {
    const { host, choice } = this.#remote;
    const where = choice.context === null ? choice.address : `${choice.context} (${choice.address})`;
    return renderFrame(io, {
      board: this.board,
      rates: this.#rates,
      who: this.#who,
      where,
      allowed: this.#allowed,
      now: host.clock.now(),
    });
  }

  /** Until somebody quits, or the command is interrupted. Throws where the server does not let it in any more. */
  async run(): Promise<void> {
    const { io, signal } = this.#remote;
    const ended = AbortSignal.any([signal, this.#stop.signal]);
    const stopKeys = io.onKey?.((key) => this.#press(key));
    const stopResize = io.onResize(() => this.#draw());
    io.out(ENTER);
    try {
      await Promise.all([this.#follow(ended), this.#tick(ended, DRAW_MS, () => this.#draw()), this.#lookOften(ended)]);
    } finally {
      this.#stop.abort();
      stopKeys?.();
      stopResize();
      io.out(LEAVE);
    }
  }

  /** Clusters and reports, as far as the account may see them. */
  async look(): Promise<void> {
    const { api } = this.#remote;
    const may = (permission: Parameters<typeof isAllowedSomewhere>[1]): boolean =>
      isAllowedSomewhere(this.#grants, permission);
    const clusters = may('clusters:view') ? await api.all('listClusters', { query: { status: 'active' } }) : [];
    const statuses = await Promise.all(clusters.map(({ name }) => api.call('getClusterStatus', { params: { name } })));
    const reports = may('compliance:view') ? await api.call('listReports', {}) : null;
    const byName = new Map(statuses.map((status) => [status.name, status]));
    this.board = { ...this.board, clusters, statuses: byName, reports };
  }

  async #lookOften(ended: AbortSignal): Promise<void> {
    const look = (): void => {
      this.look().then(
        () => this.#draw(),
        (error: unknown) => this.#say(error),
      );
    };
    look();
    await this.#tick(ended, LOOK_MS, look);
  }

  async #tick(ended: AbortSignal, everyMs: number, act: () => void): Promise<void> {
    while (!ended.aborted) {
      await sleep(this.#remote.host.clock, everyMs, ended);
      if (!ended.aborted) act();
    }
  }

  /** Opens the stream again when it ends; what cannot come back by itself ends the dashboard. */
  async #follow(ended: AbortSignal): Promise<void> {
    const { host } = this.#remote;
    const backoff = new Backoff(host.random, { baseMs: 500, maxMs: 10_000 });
    try {
      while (!ended.aborted) {
        const why = await this.#followOnce(ended, () => backoff.reset());
        if (ended.aborted) return;
        const { link } = this.board;
        const since = link.isLive ? host.clock.now() : link.since;
        this.board = { ...this.board, link: { isLive: false, since, why } };
        this.#draw();
        await sleep(host.clock, backoff.next(), ended);
      }
    } catch (error) {
      this.#stop.abort();
      throw error;
    }
  }

  /** Why it ended. */
  async #followOnce(ended: AbortSignal, onEvent: () => void): Promise<string> {
    const silent = new AbortController();
    let cancel = (): void => {};
    const hear = (): void => {
      cancel();
      cancel = this.#remote.host.clock.schedule(SILENCE_MS, () => silent.abort());
    };
    try {
      const both = AbortSignal.any([ended, silent.signal]);
      const { chunks } = await this.#remote.api.open('openStream', {}, 'text/event-stream', both);
      hear();
      for await (const event of liveEvents(chunks, hear)) {
        onEvent();
        this.#take(event);
      }
      return 'the server ended the connection';
    } catch (error) {
      if (ended.aborted) return '';
      if (silent.signal.aborted) return 'nothing was heard of the server';
      if (!(error instanceof AppError)) return 'the connection was cut';
      if (error.retryable) return error.message;
      throw error;
    } finally {
      cancel();
    }
  }

  #take(event: LiveEvent): void {
    const now = this.#remote.host.clock.now();
    this.board = { ...afterEvent(this.board, event), link: { isLive: true, since: now, why: null } };
    if (event.type === 'progress') this.#measure(event.id, event.partitions);
    if (event.type === 'job-deleted') this.#meters.delete(event.id);
    this.#draw();
  }

  #measure(id: string, shards: JobBoard['partitions']): void {
    const meter = this.#meters.get(id) ?? new RateMeter();
    this.#meters.set(id, meter);
    const sum = (count: (shard: (typeof shards)[number]) => number): number =>
      shards.reduce((total, shard) => total + count(shard), 0);
    const counts = {
      shards,
      recordsCopied: sum(({ recordsCopied }) => recordsCopied),
      bytesCopied: sum(({ bytesCopied }) => bytesCopied),
    };
    this.#rates.set(id, meter.add(counts, this.#remote.host.clock.monotonic()));
  }

  #press(key: string): void {
    const { asked } = this.board;
    if (key === 'q' && asked === null) return this.#stop.abort();
    if (asked !== null && key === 'y') this.#act(asked.action, asked.job);
    else if (asked !== null) this.board = { ...this.board, asked: null };
    else if (key === 'r') this.#refresh();
    else this.board = afterMove(this.board, key) ?? afterAsk(this.board, key, this.#allowed);
    this.#draw();
  }

  #act(action: Action, { id, name }: JobBoard['job']): void {
    this.board = { ...this.board, asked: null, note: `${action} ${name} …` };
    this.#remote.api.call(OPERATIONS[action], { params: { id } }).then(
      (job) => this.#tell(`${name}: ${job.state}, wanted ${job.desired}`),
      (error: unknown) => this.#say(error),
    );
  }

  #refresh(): void {
    this.board = { ...this.board, note: 'asking …' };
    this.look().then(
      () => this.#tell('clusters and reports are as they are now'),
      (error: unknown) => this.#say(error),
    );
  }

  #say(error: unknown): void {
    this.#tell(error instanceof AppError ? `${error.code}: ${error.message}` : String(error));
  }

  #tell(note: string): void {
    this.board = { ...this.board, note };
    this.#draw();
  }

  /** In one write, line by line over the old ones: a terminal shows no half-drawn frame, and nothing flickers. */
  #draw(): void {
    if (this.#stop.signal.aborted) return;
    const lines = this.frame().map((line) => `${line}\u001B[K\n`);
    this.#remote.io.out(`\u001B[H${lines.join('')}\u001B[J`);
  }
}
