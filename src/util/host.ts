/**
 * The one importer of node:net, node:tls, node:fs and timers in the product. Everything else is handed these as values,
 * so a test can put a simulated clock, network or disk in their place.
 */
import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns';
import {
  appendFileSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  createReadStream,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { createServer, request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import {
  connect as connectTcp,
  isIP,
  type LookupFunction,
  type AddressInfo,
  type Socket as NodeSocket,
  type TcpNetConnectOpts,
} from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import { DatabaseSync } from 'node:sqlite';
import {
  checkServerIdentity,
  connect as connectTls,
  type ConnectionOptions as NodeTlsOptions,
  type DetailedPeerCertificate,
  type TLSSocket,
} from 'node:tls';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { must } from './assert.ts';
import type { Clock } from './clock.ts';
import type { Listen } from './http.ts';
import { AddressDeniedError, type ConnectOptions, type Network, type Socket, type TlsOptions } from './network.ts';
import type { ProcessFigures } from './process-figures.ts';
import type { Random } from './random.ts';
import type { Cell, Tables } from './tables.ts';
import type { ProbeTls } from './tls-probe.ts';

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

const systemRandom: Random = { next: () => Math.random() };

export const systemNetwork: Network = {
  connect(options: ConnectOptions): Socket {
    let socket: NodeSocket;
    try {
      socket = openSocket(options);
    } catch (error) {
      // Certificate, key or authority cannot be used, or the address is not admitted: the peer was never asked.
      queueMicrotask(() => options.onClose(error as Error));
      return closedSocket;
    }
    let closeError: Error | null = null;
    socket.on(options.tls ? 'secureConnect' : 'connect', () => options.onConnect());
    socket.on('drain', () => options.onDrain());
    socket.on('error', (error) => {
      closeError = error;
    });
    socket.on('close', () => options.onClose(closeError));
    return {
      write(chunks) {
        let flowing = true;
        socket.cork();
        for (const chunk of chunks) flowing = socket.write(chunk);
        socket.uncork();
        return flowing;
      },
      pause: () => void socket.pause(),
      resume: () => void socket.resume(),
      destroy: () => void socket.destroy(),
    };
  },
};

function openSocket(options: ConnectOptions): NodeSocket {
  const { host, port, tls, admit } = options;
  if (admit && isIP(host) !== 0) checkAdmitted(admit, [host]); // an address is not looked up
  const settings: TcpNetConnectOpts = {
    host,
    port,
    lookup: admit ? admittedLookup(admit) : lookup,
    noDelay: true,
    keepAlive: true,
    onread: {
      buffer: () => options.buffer(),
      callback(bytes) {
        options.onRead(bytes);
        return true;
      },
    },
  };
  return tls ? connectTls({ ...settings, ...nodeTlsOptions(tls) } as NodeTlsOptions) : connectTcp(settings);
}

/** Node connects to what this gives it and to nothing else. */
function admittedLookup(admit: (address: string) => string | null): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, []);
      try {
        checkAdmitted(
          admit,
          addresses.map(({ address }) => address),
        );
      } catch (denied) {
        return callback(denied as Error, []);
      }
      const [first] = addresses;
      if (options.all) callback(null, addresses);
      else callback(null, first?.address ?? '', first?.family);
    });
  };
}

/** One objection is enough: which of several addresses a connection takes is chance. */
function checkAdmitted(admit: (address: string) => string | null, addresses: readonly string[]): void {
  for (const address of addresses) {
    const objection = admit(address);
    if (objection !== null) throw new AddressDeniedError(objection);
  }
}

/** `rejectUnauthorized` stands here so that NODE_TLS_REJECT_UNAUTHORIZED, which sets its default, changes nothing. */
function nodeTlsOptions({ serverName, ca, identity }: TlsOptions): NodeTlsOptions {
  return {
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    servername: isIP(serverName) === 0 ? serverName : '', // RFC 6066: an address is not sent as a name
    checkServerIdentity: (_host, certificate) => checkServerIdentity(serverName, certificate),
    ...(ca === null ? {} : { ca }),
    ...(identity === null ? {} : { cert: identity.certificate, key: identity.key }),
    ...(identity === null || identity.keyPassword === null ? {} : { passphrase: identity.keyPassword }),
  };
}

const closedSocket: Socket = { write: () => true, pause() {}, resume() {}, destroy() {} };

/** Requests to others over HTTP. The certificate of an https:// address and the name in it are always checked, as TlsOptions says. */
export interface WebClient {
  /**
   * Answers with status, headers and text, whatever the status. Rejects where there is no answer: within 10 s, in up to 1 MiB.
   * Redirections are answers, and not followed: a secret goes nowhere but where it was meant to go. Each request is a new
   * connection.
   */
  send(request: WebRequest): Promise<WebAnswer>;
}

export interface Web extends WebClient {
  /** `send` of a form, as token endpoints take it; the answer in up to 64 KiB. */
  postForm(
    url: string,
    request: Omit<WebRequest, 'url' | 'method' | 'admit' | 'body'> & { readonly body: string },
  ): Promise<Pick<WebAnswer, 'status' | 'text'>>;
  /** As `send`, but answers when status and headers are there; what follows comes as it is sent, for as long as it takes. */
  open(request: WebRequest): Promise<WebStream>;
}

export interface WebRequest {
  readonly url: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** Authorities that are trusted, PEM; null: those that the runtime trusts. */
  readonly ca: string | null;
  /** Our own certificate, PEM, for servers that ask for one. */
  readonly identity?: TlsOptions['identity'];
  /** As in ConnectOptions; without it any address is connected to. */
  readonly admit?: (address: string) => string | null;
  /** Other bounds than the ones that `send` names. */
  readonly deadlineMs?: number;
  readonly bytesMax?: number;
  /** Gives up at once. */
  readonly signal: AbortSignal;
}

export interface WebAnswer {
  readonly status: number;
  /** Names are in small letters. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

export interface WebStream extends Pick<WebAnswer, 'status' | 'headers'> {
  /** Ends with an error where the connection does. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

const WEB_DEADLINE_MS = 10_000;
const TOKEN_BYTES_MAX = 64 * 1024;
const WEB_ANSWER_BYTES_MAX = 1024 * 1024;

/** Not `fetch`: that takes no authorities, and lets NODE_TLS_REJECT_UNAUTHORIZED decide whether it looks at them. */
export const systemWeb: Web = {
  async postForm(url, { headers, ...rest }) {
    const form = { ...headers, 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
    const request: WebRequest = { url, method: 'POST', headers: form, ...rest };
    const { status, text } = await exchange(request, TOKEN_BYTES_MAX);
    return { status, text };
  },
  send: (request) => exchange(request, WEB_ANSWER_BYTES_MAX),
  async open(request) {
    const late = new AbortController();
    const deadline = setTimeout(
      () => late.abort(new Error('there was no answer in time')),
      request.deadlineMs ?? WEB_DEADLINE_MS,
    );
    try {
      const response = await answerTo(request, AbortSignal.any([late.signal, request.signal]));
      return { status: response.statusCode ?? 0, headers: headersOf(response), chunks: response };
    } finally {
      clearTimeout(deadline);
    }
  },
};

async function exchange(request: WebRequest, bytesUsual: number): Promise<WebAnswer> {
  const { bytesMax = bytesUsual, deadlineMs = WEB_DEADLINE_MS } = request;
  const ends = AbortSignal.any([AbortSignal.timeout(deadlineMs), request.signal]);
  try {
    const response = await answerTo(request, ends);
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      if (bytes > bytesMax) throw new Error(`the answer is larger than ${bytesMax} bytes`);
      chunks.push(chunk);
    }
    return {
      status: response.statusCode ?? 0,
      headers: headersOf(response),
      text: Buffer.concat(chunks).toString('utf8'),
    };
  } catch (error) {
    throw ends.aborted ? ends.reason : error; // what an end in the middle of an answer looks like says less
  }
}

function headersOf(response: IncomingMessage): Record<string, string> {
  const headers = Object.entries(response.headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
  );
  return Object.fromEntries(headers) as Record<string, string>;
}

/** Resolves when status and headers are there. */
function answerTo(
  { url, method, headers, body, ca, identity = null, admit }: WebRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { protocol, hostname } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  if (admit && isIP(host) !== 0) checkAdmitted(admit, [host]); // an address is not looked up
  const options = { headers, method, signal, agent: false, lookup: admit ? admittedLookup(admit) : lookup };
  return new Promise((resolve, reject) => {
    const request =
      protocol === 'https:'
        ? requestHttps(url, { ...options, ...nodeTlsOptions({ serverName: host, ca, identity }) })
        : requestHttp(url, options);
    request.on('response', resolve).on('error', reject).end(body);
  });
}

const PROBE_DEADLINE_MS = 10_000;

export const systemProbeTls: ProbeTls = ({ host, port, ...tls }) =>
  new Promise((resolve, reject) => {
    let socket: TLSSocket;
    try {
      // Looked at, not believed: whoever asks is told the problem, and nothing is sent.
      socket = connectTls({ ...nodeTlsOptions(tls), host, port, rejectUnauthorized: false });
    } catch (error) {
      return reject(error as Error); // certificate, key or authority cannot be used
    }
    socket.setTimeout(PROBE_DEADLINE_MS, () => socket.destroy(new Error('no handshake within 10 s')));
    socket.on('error', reject);
    socket.on('secureConnect', () => {
      const chain: string[] = [];
      const seen = new Set<string>();
      let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
      while (certificate?.raw && !seen.has(certificate.fingerprint256)) {
        seen.add(certificate.fingerprint256);
        chain.push(pemOf(certificate.raw));
        certificate = certificate.issuerCertificate;
      }
      const { authorizationError: error } = socket as { authorizationError?: unknown };
      const problem = error instanceof Error ? error.message : error ? String(error as string) : null;
      resolve({ protocol: socket.getProtocol() ?? '', cipher: socket.getCipher().name, chain, problem });
      socket.destroy();
    });
  });

function pemOf(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** Scrapers keep their connection; more than these are no scrapers. */
const DOOR_CONNECTIONS_MAX = 16;

export const systemListen: Listen = ({ host, port, answer }) =>
  new Promise((resolve, reject) => {
    const server = createServer(
      {
        maxHeaderSize: 8 * 1024,
        headersTimeout: 5_000,
        requestTimeout: 5_000,
        connectionsCheckingInterval: 1_000,
        keepAliveTimeout: 75_000,
      },
      (request, response) => {
        const { method = '', url = '', headers } = request;
        const single = Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]);
        const path = url.replace(/[?#].*$/s, '');
        const given = answer({ method, path, headers: Object.fromEntries(single) as Record<string, string> });
        // Nobody reads the body of a request here: the connection that it is still coming on is of no further use.
        const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
        response.writeHead(given.status, { ...given.headers, ...(hasBody ? { connection: 'close' } : {}) });
        response.end(given.body);
      },
    );
    server.maxConnections = DOOR_CONNECTIONS_MAX;
    server.timeout = 10_000; // of a client that does not take its answer
    server.on('error', reject);
    server.listen(port, host, () => {
      const bound = server.address() as AddressInfo;
      const shown = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
      resolve({
        address: `${shown}:${bound.port}`,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      });
    });
  });

/** Finer costs more wake-ups of an idle process, and shows nothing that matters here. */
const EVENT_LOOP_RESOLUTION_MS = 20;

export const systemFigures: ProcessFigures = {
  read() {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    return {
      cpuSeconds: (user + system) / 1e6,
      residentBytes: rss,
      heapUsedBytes: heapUsed,
      startedAt: Math.round(performance.timeOrigin),
    };
  },
  watchEventLoop() {
    const histogram = monitorEventLoopDelay({ resolution: EVENT_LOOP_RESOLUTION_MS });
    histogram.enable();
    // What it records is the time between two ticks of its timer.
    const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - EVENT_LOOP_RESOLUTION_MS);
    return {
      take() {
        const isEmpty = histogram.count === 0;
        const delay = {
          p50Ms: isEmpty ? 0 : late(histogram.percentile(50)),
          p99Ms: isEmpty ? 0 : late(histogram.percentile(99)),
          maxMs: isEmpty ? 0 : late(histogram.max),
        };
        histogram.reset();
        return delay;
      },
      stop: () => void histogram.disable(),
    };
  },
};

/** What nobody can foretell, as text without "=" and ",": 144 bits. */
export function systemNonce(): string {
  return randomBytes(18).toString('base64url');
}

/** Two halves, of which one is in use: all that is made on the data path lives for less than what 8 MiB last. */
const YOUNG_BYTES_MAX = 16 * 1024 * 1024;

/**
 * What was to be loaded is loaded: the young generation of the heap may grow with what is done (bin/lockstep.js), but not to the
 * 128 MiB of V8, which it takes where many partitions start at once, and keeps: it is stopped at the bound, as that can be set
 * by a flag of the process alone.
 */
function systemGrowHeap(): void {
  const growBy = (factor: number): void => setFlagsFromString(`--semi-space-growth-factor=${factor}`);
  growBy(2);
  new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
    growBy(must(young, 'new space').space_size < YOUNG_BYTES_MAX ? 2 : 1);
  }).observe({ entryTypes: ['gc'] });
}

/** As `Entropy` of the server. */
const systemEntropy = { bytes: (count: number): Uint8Array => randomBytes(count) };

/** Read anew at each use. */
const systemEnvironment: Readonly<Record<string, string | undefined>> = process.env;

/** A file that only grows, by one append at a time. */
export interface AppendFile {
  /** Once it resolves, the bytes survive the loss of power. Where it rejects, nobody knows what of them is there. */
  append(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Files. What fails throws the system's error, with its `code`. */
export interface Disk {
  readText(path: string): string;
  readBytes(path: string): Buffer;
  /** The names in a directory, in no order. */
  list(path: string): string[];
  writeText(path: string, text: string): void;
  appendText(path: string, text: string): void;
  /** A new file that its owner alone may read and write (0600). Throws where there is one: what is there is not replaced. */
  createSecret(path: string, text: string): void;
  /** What was written to it survives the loss of power. */
  sync(path: string): void;
  makeDirectory(path: string): void;
  /** What was at `to` is gone. */
  rename(from: string, to: string): void;
  /** A file, or a directory with all that is in it; it may be gone already. */
  remove(path: string): void;
  /** As `rename`, of which nobody waits for a disk that hangs. */
  move(from: string, to: string): Promise<void>;
  /** As `remove`, likewise. */
  discard(path: string): Promise<void>;
  /** What stands in a directory, in no order, with when it was written to last; likewise. */
  filesOf(path: string): Promise<readonly { readonly name: string; readonly writtenAt: number }[]>;
  /** A file with these bytes and no others; once it resolves they survive the loss of power, and its name after `syncDirectory`. */
  writeDurably(path: string, bytes: Uint8Array): Promise<void>;
  /** The names in a directory survive the loss of power. */
  syncDirectory(path: string): Promise<void>;
  /** A new, empty file that nobody else may read; EEXIST where there is one. */
  createAppendFile(path: string): Promise<AppendFile>;
  /** What is in a file, piece by piece. */
  chunks(path: string): AsyncIterable<Uint8Array>;
  /** Which file stands under a name, and who may do what with it; null: none. */
  look(path: string): { readonly identity: string; readonly permissions: number } | null;
}

export const systemDisk: Disk = {
  readText: (path) => readFileSync(path, 'utf8'),
  readBytes: (path) => readFileSync(path),
  list: (path) => readdirSync(path),
  writeText: (path, text) => writeFileSync(path, text),
  appendText: (path, text) => appendFileSync(path, text),
  createSecret: (path, text) => writeFileSync(path, text, { mode: 0o600, flag: 'wx' }),
  sync: (path) => {
    const file = openSync(path, 'r+');
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  },
  makeDirectory: (path) => void mkdirSync(path, { recursive: true }),
  rename: (from, to) => renameSync(from, to),
  remove: (path) => rmSync(path, { recursive: true, force: true }),
  move: (from, to) => rename(from, to),
  discard: (path) => rm(path, { recursive: true, force: true }),
  async filesOf(path) {
    const names = await readdir(path);
    const files = await Promise.all(
      names.map(async (name) => {
        const facts = await stat(join(path, name)).catch((error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return null; // gone since it was listed
          throw error;
        });
        return facts === null ? [] : [{ name, writtenAt: Math.floor(facts.mtimeMs) }];
      }),
    );
    return files.flat();
  },
  writeDurably: (path, bytes) =>
    withFile(path, 'w', async (file) => {
      await file.writeFile(bytes);
      await file.sync();
    }),
  syncDirectory: (path) => withFile(path, 'r', (directory) => directory.sync()),
  async createAppendFile(path) {
    const file = await open(path, 'ax', 0o600);
    return {
      async append(bytes) {
        await file.appendFile(bytes);
        await file.datasync();
      },
      close: () => file.close(),
    };
  },
  chunks: (path) => createReadStream(path, { highWaterMark: 1024 * 1024 }),
  look(path) {
    const facts = statSync(path, { throwIfNoEntry: false });
    return facts ? { identity: `${facts.dev}:${facts.ino}`, permissions: facts.mode & 0o777 } : null;
  },
};

async function withFile(path: string, flags: string, use: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, flags);
  try {
    await use(file);
  } finally {
    await file.close();
  }
}

/** Its owner may be writing: a lock is waited for. */
const TABLES_LOCK_MS = 5_000;

const systemTables: Tables = {
  open(path) {
    const database = new DatabaseSync(path, { readOnly: true, timeout: TABLES_LOCK_MS });
    try {
      // What stands in the schema of a foreign file may not call functions that do more than compute.
      database.exec('PRAGMA trusted_schema = OFF');
      const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
      const columns = new Map(
        tables.map(({ name }) => {
          const table = String(name);
          const rows = database.prepare(`SELECT name FROM pragma_table_info(${quoted(table, "'")})`).all();
          return [table, rows.map((row) => String(row['name']))];
        }),
      );
      return {
        columns,
        rows: (table) =>
          database.prepare(`SELECT * FROM ${quoted(table, '"')}`).iterate() as Iterable<Record<string, Cell>>,
        close: () => database.close(),
      };
    } catch (error) {
      database.close();
      throw error;
    }
  },
};

function quoted(text: string, quote: string): string {
  return `${quote}${text.replaceAll(quote, quote + quote)}${quote}`;
}

/** All of it, as `src/main.ts` takes it. */
export const systemHost = {
  network: systemNetwork,
  clock: systemClock,
  random: systemRandom,
  disk: systemDisk,
  tables: systemTables,
  environment: systemEnvironment,
  web: systemWeb,
  listen: systemListen,
  probeTls: systemProbeTls,
  figures: systemFigures,
  nonce: systemNonce,
  entropy: systemEntropy,
  growHeap: systemGrowHeap,
  process: `${hostname()} ${process.pid}`,
};
