/** The transit engine of Vault, as far as it wraps: an HTTP server on loopback with one key of type aes256-gcm96. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

const PREFIX = 'vault:v1:';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

interface Asked {
  readonly plaintext?: string;
  readonly ciphertext?: string;
  readonly associated_data?: string;
}

export class PlayedTransit {
  token = 'hvs.canary-token';
  /** Answered to everything instead. */
  outage: { readonly status: number; readonly body: string } | null = null;
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #key = randomBytes(32);

  private constructor() {
    this.#server = createServer((request, response) => {
      void text(request).then((body) => {
        this.asked.push(`${request.method} ${request.url}`);
        const { status, body: answer } = this.outage ?? this.#answer(request.url ?? '', request.headers, body);
        response.writeHead(status, { 'content-type': 'application/json' }).end(answer);
      });
    });
  }

  static async start(): Promise<PlayedTransit> {
    const played = new PlayedTransit();
    played.#server.listen(0, '127.0.0.1');
    await once(played.#server, 'listening');
    return played;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #answer(path: string, headers: NodeJS.Dict<string | string[]>, body: string): { status: number; body: string } {
    if (headers['x-vault-token'] !== this.token) return error(403, 'permission denied');
    const [, action, key] = /^\/v1\/transit\/(encrypt|decrypt)\/(.+)$/.exec(path) ?? [];
    if (key !== 'lockstep') return error(404, 'no handler for route');
    const { plaintext = '', ciphertext = '', associated_data: context = '' } = JSON.parse(body) as Asked;
    const aad = Buffer.from(context, 'base64');
    if (action === 'encrypt') return data({ ciphertext: this.#seal(Buffer.from(plaintext, 'base64'), aad) });
    const opened = this.#open(ciphertext, aad);
    return opened === null ? error(400, 'cipher: message authentication failed') : data({ plaintext: opened });
  }

  #seal(plain: Buffer, aad: Buffer): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(aad);
    const sealed = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    return `${PREFIX}${sealed.toString('base64')}`;
  }

  #open(ciphertext: string, aad: Buffer): string | null {
    const sealed = Buffer.from(ciphertext.slice(PREFIX.length), 'base64');
    const options = { authTagLength: TAG_BYTES };
    const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(0, NONCE_BYTES), options)
      .setAAD(aad)
      .setAuthTag(sealed.subarray(-TAG_BYTES));
    try {
      const plain = Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
      return plain.toString('base64');
    } catch {
      return null;
    }
  }
}

function data(fields: object): { status: number; body: string } {
  return { status: 200, body: JSON.stringify({ request_id: 'r', data: fields, warnings: null }) };
}

function error(status: number, message: string): { status: number; body: string } {
  return { status, body: JSON.stringify({ errors: [message] }) };
}
