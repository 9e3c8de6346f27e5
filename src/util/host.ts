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
  readFileSync,
  createReadStream,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import {
  connect as connectTcp,
  isIP,
  type LookupFunction,
  type Socket as NodeSocket,
  type TcpNetConnectOpts,
} from 'node:net';
import { hostname } from 'node:os';
import { checkServerIdentity, connect as connectTls, type ConnectionOptions as NodeTlsOptions } from 'node:tls';
import type { Clock } from './clock.ts';
import { AddressDeniedError, type ConnectOptions, type Network, type Socket, type TlsOptions } from './network.ts';
import type { Random } from './random.ts';

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
export interface Web {
  /**
   * Answers with status and text, whatever the status. Rejects where there is no answer: within 10 s, in up to 64 KiB.
   * Redirections are answers, and not followed: a secret goes nowhere but where it was meant to go. Each request is a new
   * connection.
   */
  postForm(
    url: string,
    options: {
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
      /** Authorities that are trusted, PEM; null: those that the runtime trusts. */
      readonly ca: string | null;
      /** Gives up at once. */
      readonly signal: AbortSignal;
    },
  ): Promise<{ readonly status: number; readonly text: string }>;
}

export interface WebClient {
  /** As `Web.postForm`, in up to 1 MiB; header names of the answer are in small letters. */
  send(request: WebRequest): Promise<WebAnswer>;
}

export interface WebRequest {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly ca: string | null;
  /** As in ConnectOptions. */
  readonly admit: (address: string) => string | null;
  readonly signal: AbortSignal;
}

interface WebAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

const WEB_DEADLINE_MS = 10_000;
const TOKEN_BYTES_MAX = 64 * 1024;
const WEB_ANSWER_BYTES_MAX = 1024 * 1024;

/** Not `fetch`: that takes no authorities, and lets NODE_TLS_REJECT_UNAUTHORIZED decide whether it looks at them. */
export const systemWeb: Web & WebClient = {
  async postForm(url, { headers, ...rest }) {
    const form = { ...headers, 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
    const request: WebRequest = { url, method: 'POST', headers: form, admit: () => null, ...rest };
    const { status, text } = await exchange(request, TOKEN_BYTES_MAX);
    return { status, text };
  },
  send: (request) => exchange(request, WEB_ANSWER_BYTES_MAX),
};

async function exchange(request: WebRequest, bytesMax: number): Promise<WebAnswer> {
  const ends = AbortSignal.any([AbortSignal.timeout(WEB_DEADLINE_MS), request.signal]);
  try {
    const response = await answerTo(request, ends);
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      if (bytes > bytesMax) throw new Error(`the answer is larger than ${bytesMax} bytes`);
      chunks.push(chunk);
    }
    const headers = Object.entries(response.headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
    );
    return {
      status: response.statusCode ?? 0,
      headers: Object.fromEntries(headers) as Record<string, string>,
      text: Buffer.concat(chunks).toString('utf8'),
    };
  } catch (error) {
    throw ends.aborted ? ends.reason : error; // what an end in the middle of an answer looks like says less
  }
}

/** Resolves when status and headers are there. */
function answerTo(
  { url, method, headers, body, ca, admit }: WebRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { protocol, hostname } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0) checkAdmitted(admit, [host]); // an address is not looked up
  const options = { headers, method, signal, agent: false, lookup: admittedLookup(admit) };
  return new Promise((resolve, reject) => {
    const request =
      protocol === 'https:'
        ? requestHttps(url, { ...options, ...nodeTlsOptions({ serverName: host, ca, identity: null }) })
        : requestHttp(url, options);
    request.on('response', resolve).on('error', reject).end(body);
  });
}

/** What nobody can foretell, as text without "=" and ",": 144 bits. */
export function systemNonce(): string {
  return randomBytes(18).toString('base64url');
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
  writeText(path: string, text: string): void;
  appendText(path: string, text: string): void;
  /** What was written to it survives the loss of power. */
  sync(path: string): void;
  makeDirectory(path: string): void;
  /** What was at `to` is gone. */
  rename(from: string, to: string): void;
  /** A new, empty file that nobody else may read; EEXIST where there is one. */
  createAppendFile(path: string): Promise<AppendFile>;
  /** What is in a file, piece by piece. */
  chunks(path: string): AsyncIterable<Uint8Array>;
  /** Which file stands under a name, and who may do what with it; null: none. */
  look(path: string): { readonly identity: string; readonly permissions: number } | null;
}

const systemDisk: Disk = {
  readText: (path) => readFileSync(path, 'utf8'),
  writeText: (path, text) => writeFileSync(path, text),
  appendText: (path, text) => appendFileSync(path, text),
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

/** All of it, as `src/main.ts` takes it. */
export const systemHost = {
  network: systemNetwork,
  clock: systemClock,
  random: systemRandom,
  disk: systemDisk,
  environment: systemEnvironment,
  web: systemWeb,
  nonce: systemNonce,
  entropy: systemEntropy,
  process: `${hostname()} ${process.pid}`,
};
