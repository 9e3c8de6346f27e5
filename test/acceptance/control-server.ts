/** `lockstep serve` as a real process in a directory of its own, and its API as somebody calls it who is signed in. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Secret, TOTP } from 'otpauth';
import type { ServeEvent } from '#contract/serve-events.ts';
import type { RunEvent } from '#contract/status.ts';
import { freePorts } from '#testing/free-ports.ts';
import { countKill } from '#testing/kills.ts';
import { waitUntil } from '#testing/process-stat.ts';
import { spawnSupervised, temporaryDirectory } from '#testing/supervisor.ts';
import { must } from '#util/assert.ts';

const command = join(import.meta.dirname, '..', '..', 'bin', 'lockstep.js');
const USER = 'ada';
/** Far more than anything takes; machines may be busy. */
const WAIT_MS = 180_000;
const PASSWORD = 'gravel-otter-pinwheel-sunday';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed where it is JSON, else as text; undefined where there is none. */
  readonly body: unknown;
}

export type Call = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown) => Promise<Answer>;

/** Of one process, from its start to its end. */
class Term {
  readonly events: (ServeEvent | RunEvent)[] = [];
  readonly child: ChildProcess;
  readonly closed: Promise<number>;
  stderr = '';
  isRunning = true;
  #rest = '';

  constructor(argv: readonly string[], { cwd, env }: { cwd: string; env: Readonly<Record<string, string>> }) {
    this.child = spawnSupervised(process.execPath, [command, ...argv, '--json'], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    must(this.child.stdout, 'stdout')
      .setEncoding('utf8')
      .on('data', (text: string) => this.#take(text));
    must(this.child.stderr, 'stderr')
      .setEncoding('utf8')
      .on('data', (text: string) => (this.stderr += text));
    this.closed = new Promise((resolve) => {
      this.child.once('close', (code) => {
        this.isRunning = false;
        resolve(code ?? -1);
      });
    });
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.events.push(JSON.parse(line) as ServeEvent | RunEvent);
  }
}

export interface ControlServerOptions {
  readonly verb?: 'serve' | 'worker';
  readonly env?: Readonly<Record<string, string>>;
  readonly directory?: string;
}

export class ControlServer {
  readonly directory: string;
  readonly #options: ControlServerOptions;
  readonly #port: number;
  #term: Term | null = null;
  /** Of the audit log; known once it has been open. */
  #verifierKey: string | null = null;
  /** Intents that starts have found open. */
  dangling = 0;

  private constructor(options: ControlServerOptions, port: number) {
    this.#options = options;
    this.#port = port;
    this.directory = options.directory ?? temporaryDirectory('server');
  }

  static async create(options: ControlServerOptions = {}): Promise<ControlServer> {
    const [port] = await freePorts(1);
    return new ControlServer(options, must(port, 'free port'));
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get pid(): number {
    return must(this.#running.child.pid, 'process id');
  }

  get isRunning(): boolean {
    return this.#term?.isRunning === true;
  }

  get verifierKey(): string {
    return must(this.#verifierKey, 'verifier key');
  }

  get auditDirectory(): string {
    return join(this.directory, 'lockstep-audit');
  }

  get events(): readonly (ServeEvent | RunEvent)[] {
    return this.#running.events;
  }

  /** A process; it may still be starting. */
  begin(): void {
    const { verb = 'serve', env = {} } = this.#options;
    const port = verb === 'serve' ? ['--server-port', String(this.#port)] : [];
    this.#term = new Term([verb, ...port], { cwd: this.directory, env });
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    this.begin();
    await this.until(() => this.saw('listening'), 'it listens');
    for (const event of this.events) {
      if (event.event !== 'audit-log') continue;
      this.#verifierKey = event.key;
      this.dangling += event.dangling;
    }
  }

  saw(event: ServeEvent['event']): boolean {
    return this.events.some((each) => each.event === event);
  }

  /** Fails at once when the process ends before it holds. */
  async until(condition: () => boolean | Promise<boolean>, what: string, timeoutMs = WAIT_MS): Promise<void> {
    const isDone = async (): Promise<boolean> => {
      if (await condition()) return true;
      if (!this.isRunning) throw new Error(`the server ended before ${what}\n${this.describe()}`);
      return false;
    };
    await waitUntil(isDone, () => `${what}\n${this.describe()}`, { timeoutMs, everyMs: 50 });
  }

  async kill(): Promise<void> {
    if (this.isRunning) countKill();
    this.#running.child.kill('SIGKILL');
    await this.#running.closed;
  }

  /** SIGTERM; its exit code. */
  async stop(): Promise<number> {
    this.#running.child.kill('SIGTERM');
    return this.#running.closed;
  }

  /** Its exit code, however it comes to its end. */
  ended(): Promise<number> {
    return this.#running.closed;
  }

  describe(): string {
    const said = this.events.slice(-15).map((event) => JSON.stringify(event).slice(0, 800));
    return [...said, this.#running.stderr].join('\n');
  }

  /** Creates the first administrator with the token of the start, with a second factor, and signs a program of it in. */
  async setUp(): Promise<Call> {
    await this.until(() => this.saw('setup-token'), 'it offers the set-up');
    const token = readFileSync(join(this.directory, 'lockstep-setup-token'), 'utf8').trim();
    const call = this.as({});
    const done = await call('POST', '/auth/setup', { setupToken: token, username: USER, password: PASSWORD });
    if (done.status !== 201) throw new Error(`set-up: ${JSON.stringify(done.body)}`);
    const cookie = must(done.headers.get('set-cookie')?.split(';')[0], 'session cookie');
    const asBrowser = this.as({ cookie, origin: this.url, 'sec-fetch-site': 'same-origin' });
    const { secret } = (await asBrowser('POST', '/auth/totp')).body as { secret: string };
    const code = new TOTP({ secret: Secret.fromBase32(secret) }).generate();
    const { recoveryCodes } = (await asBrowser('PUT', '/auth/totp', { code })).body as { recoveryCodes: string[] };
    const signIn = { username: USER, password: PASSWORD, recoveryCode: recoveryCodes[0] };
    const signedIn = await call('POST', '/auth/token', signIn);
    if (signedIn.status !== 200) throw new Error(`sign-in: ${JSON.stringify(signedIn.body)}`);
    return this.as({ authorization: `Bearer ${(signedIn.body as { token: string }).token}` });
  }

  as(headers: Readonly<Record<string, string>>): Call {
    return async (method, path, body) => {
      const response = await fetch(`${this.url}${path}`, {
        method,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        body: text === '' ? undefined : isJson(response.headers) ? (JSON.parse(text) as unknown) : text,
      };
    };
  }

  get #running(): Term {
    return must(this.#term, 'process of the server');
  }
}

function isJson(headers: Headers): boolean {
  return /[/+]json\b/.test(headers.get('content-type') ?? '');
}
