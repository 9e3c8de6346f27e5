/**
 * An identity provider over plain HTTP on 127.0.0.1. For OAUTHBEARER: the token endpoint of the client-credentials grant
 * (RFC 6749 4.4) and the key set (RFC 7517) that brokers check signatures against. For people: OpenID Connect with the
 * authorization-code grant and PKCE (RFC 7636), where `person` is always signed in already. Tokens are JWTs signed RS256.
 */
import { createHash, createSign, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { must } from '#util/assert.ts';
import { freePorts } from './free-ports.ts';
import { waitUntil } from './process-stat.ts';

export interface OAuthOptions {
  /** Client id → secret. The client id becomes the token's subject, which is the user for the broker. */
  readonly clients: Readonly<Record<string, string>>;
  /** Life of a token. Default: 3600. */
  readonly expiresInSeconds?: number;
}

/** What the browser was sent to the provider with. */
interface Asked {
  readonly clientId: string;
  readonly redirectUri: string;
  readonly challenge: string;
  readonly nonce: string;
}

interface SigningKey {
  readonly id: string;
  readonly privateKey: KeyObject;
  readonly jwk: object;
}

export class OAuthServer {
  readonly issuer = 'https://identity.test';
  readonly audience = 'kafka';
  /** Client id → secrets that are taken; may be changed while it runs. */
  readonly clients: Map<string, readonly string[]>;
  /** Of the tokens that are issued from now on. */
  expiresInSeconds: number;
  /** Tokens issued so far. */
  issued = 0;
  /** The token requests so far: who asked, for which scope, and the status of the answer. */
  readonly requests: { readonly clientId: string; readonly scope: string | null; readonly status: number }[] = [];
  /** Who signs in: claims of the ID token, `sub` among them. */
  person: Readonly<Record<string, unknown>> = { sub: 'nobody' };
  /** By the code that was given for it, which counts once. */
  readonly #asked = new Map<string, Asked>();
  #codes = 0;
  #keys: SigningKey[] = [newKey('key-1')];
  #server: Server | null = null;
  readonly #port: number;

  private constructor(port: number, options: OAuthOptions) {
    this.#port = port;
    this.clients = new Map(Object.entries(options.clients).map(([id, secret]) => [id, [secret]]));
    this.expiresInSeconds = options.expiresInSeconds ?? 3600;
  }

  static async start(options: OAuthOptions): Promise<OAuthServer> {
    const [port] = await freePorts(1);
    const server = new OAuthServer(must(port, 'free port'), options);
    await server.up();
    return server;
  }

  /** Its name as a provider for people. */
  get origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get tokenUrl(): string {
    return `${this.origin}/token`;
  }

  get jwksUrl(): string {
    return `${this.origin}/jwks`;
  }

  /** For the option `secure.oauth` of a cluster. */
  get forBrokers(): { jwksUrl: string; issuer: string; audience: string } {
    return { jwksUrl: this.jwksUrl, issuer: this.issuer, audience: this.audience };
  }

  /** Refuses connections from now on, also to the key set, and ends those that stand. */
  async down(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    this.#server = null;
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
    // A child that is being forked at this moment holds the listening socket until it executes its program: who connects
    // meanwhile is taken in and cut off.
    await waitUntil(() => isRefused(this.#port), `port ${this.#port} refuses connections`);
  }

  /** Listens, at the same port as before. */
  async up(): Promise<void> {
    const server = createServer((request, response) => void this.#answer(request, response));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
    this.#server = server;
  }

  /** Signs with a new key from now on; the key set has only that one, or the one before it too (`keepOld`). */
  rotateKey({ keepOld = false } = {}): void {
    const key = newKey(`key-${Number(this.#key().id.slice(4)) + 1}`);
    this.#keys = keepOld ? [key, this.#key()] : [key];
  }

  /** A signed token. `claims` go over the usual ones, so that a test can issue one that has expired, or for others. */
  token(subject: string, claims: Readonly<Record<string, unknown>> = {}): string {
    const now = Math.floor(Date.now() / 1000);
    const { issuer: iss, audience: aud } = this;
    const key = this.#key();
    const head = { alg: 'RS256', typ: 'JWT', kid: key.id };
    const body = { iss, aud, sub: subject, iat: now, exp: now + this.expiresInSeconds, ...claims };
    const signed = [head, body].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${signed}.${createSign('RSA-SHA256').update(signed).sign(key.privateKey).toString('base64url')}`;
  }

  #key(): SigningKey {
    return must(this.#keys[0], 'signing key');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const send = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(JSON.stringify(body));
    };
    if (request.method === 'GET' && request.url === '/jwks') {
      send(200, { keys: this.#keys.map((key) => key.jwk) });
      return;
    }
    const { pathname, searchParams } = new URL(request.url ?? '/', this.origin);
    if (request.method === 'GET' && pathname === '/.well-known/openid-configuration') {
      send(200, {
        issuer: this.origin,
        authorization_endpoint: `${this.origin}/authorize`,
        token_endpoint: this.tokenUrl,
        jwks_uri: this.jwksUrl,
        id_token_signing_alg_values_supported: ['RS256'],
      });
      return;
    }
    if (request.method === 'GET' && pathname === '/authorize') {
      const back = this.#authorize(searchParams);
      if (back === null) send(400, { error: 'invalid_request' });
      else response.writeHead(302, { location: back }).end();
      return;
    }
    if (request.method !== 'POST' || request.url !== '/token') {
      send(404, { error: 'not_found' });
      return;
    }
    const form = new URLSearchParams(await text(request));
    const [clientId, secret] = credentialsOf(request, form);
    const scope = form.get('scope');
    if (form.get('grant_type') === 'authorization_code') {
      const idToken = this.#redeem(clientId, secret, form);
      this.requests.push({ clientId, scope, status: idToken === null ? 400 : 200 });
      if (idToken === null) send(400, { error: 'invalid_grant' });
      else send(200, { access_token: 'opaque', token_type: 'Bearer', id_token: idToken });
      return;
    }
    const status = this.#grant(clientId, secret, form);
    this.requests.push({ clientId, scope, status });
    if (status !== 200) {
      send(status, { error: status === 401 ? 'invalid_client' : 'unsupported_grant_type' });
      return;
    }
    this.issued += 1;
    const token = this.token(clientId, scope === null ? {} : { scope });
    send(200, { access_token: token, token_type: 'Bearer', expires_in: this.expiresInSeconds });
  }

  /** Where the browser goes from there; null: it was asked for something else than a code with PKCE. */
  #authorize(query: URLSearchParams): string | null {
    const of = (name: string): string => query.get(name) ?? '';
    const isFit =
      of('response_type') === 'code' &&
      of('code_challenge_method') === 'S256' &&
      of('scope').split(' ').includes('openid') &&
      this.clients.has(of('client_id'));
    if (!isFit) return null;
    this.#codes += 1;
    const code = `code-${this.#codes}`;
    this.#asked.set(code, {
      clientId: of('client_id'),
      redirectUri: of('redirect_uri'),
      challenge: of('code_challenge'),
      nonce: of('nonce'),
    });
    const back = new URL(of('redirect_uri'));
    back.search = new URLSearchParams({ code, state: of('state') }).toString();
    return back.href;
  }

  /** The ID token for a code; null where the code, the client, the place or the verifier of PKCE is not the one. */
  #redeem(clientId: string, secret: string, form: URLSearchParams): string | null {
    const code = form.get('code') ?? '';
    const asked = this.#asked.get(code);
    this.#asked.delete(code);
    const verifier = form.get('code_verifier') ?? '';
    const challenge = createHash('sha256').update(verifier).digest('base64url');
    const isRight =
      asked?.clientId === clientId &&
      asked.redirectUri === form.get('redirect_uri') &&
      asked.challenge === challenge &&
      this.clients.get(clientId)?.includes(secret);
    if (!isRight) return null;
    return this.token('nobody', { iss: this.origin, aud: clientId, nonce: asked.nonce, ...this.person });
  }

  #grant(clientId: string, secret: string, form: URLSearchParams): number {
    if (form.get('grant_type') !== 'client_credentials') return 400;
    return this.clients.get(clientId)?.includes(secret) ? 200 : 401;
  }
}

/** Basic authentication, both parts form-encoded (RFC 6749 2.3.1), or parameters in the body. */
function credentialsOf(request: IncomingMessage, form: URLSearchParams): [string, string] {
  const [scheme = '', encoded = ''] = (request.headers.authorization ?? '').split(' ');
  if (scheme.toLowerCase() !== 'basic') return [form.get('client_id') ?? '', form.get('client_secret') ?? ''];
  const pair = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  const decode = (part: string): string => decodeURIComponent(part.replaceAll('+', ' '));
  return [decode(pair.slice(0, colon)), decode(pair.slice(colon + 1))];
}

function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => socket.destroy());
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
    socket.on('close', () => resolve(false));
  });
}

function newKey(id: string): SigningKey {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { id, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid: id, use: 'sig', alg: 'RS256' } };
}
