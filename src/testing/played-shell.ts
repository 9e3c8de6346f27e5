/** Command lines against a played control plane, without a socket between them; files, environment and time stay as they were. */
import type { Readable } from 'node:stream';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import type { Io } from '#cli/io.ts';
import type { Web, WebAnswer, WebRequest } from '#util/host.ts';
import { runLine, MemoryDisk, type CommandResult } from './command-line.ts';
import { PASSWORD, playControlPlane, type ControlPlane } from './played-control-plane.ts';

export const SERVER = 'http://127.0.0.1:8080';

export class PlayedShell {
  readonly plane: ControlPlane;
  readonly disk = new MemoryDisk();
  readonly environment: Record<string, string> = { HOME: '/ada' };
  readonly web: Web;
  #nonces = 0;

  private constructor(plane: ControlPlane) {
    this.plane = plane;
    this.web = webOf(plane);
  }

  static async start(options: Parameters<typeof playControlPlane>[0] = {}): Promise<PlayedShell> {
    return new PlayedShell(await playControlPlane(options));
  }

  /** With a context, and somebody signed in there. */
  static async signedIn(role = 'admin', options: Parameters<typeof playControlPlane>[0] = {}): Promise<PlayedShell> {
    const shell = await PlayedShell.start(options);
    // The first user is the initial one, and an administrator.
    await shell.plane.as('admin');
    if (role !== 'admin') await shell.plane.as(role);
    await shell.run(`context add here ${SERVER}`);
    await shell.run(`login ${role} --password-stdin`, { input: `${PASSWORD}\n` });
    return shell;
  }

  /** Words are split at spaces; one with spaces is given as an array. */
  run(
    line: string | readonly string[],
    given: { readonly input?: string; readonly io?: Partial<Io>; readonly web?: Web } = {},
  ): Promise<CommandResult> {
    const { input = '', io = {}, web = this.web } = given;
    return runLine(typeof line === 'string' ? line.split(' ') : line, {
      disk: this.disk,
      io: { readInput: () => Promise.resolve(input), ...io },
      host: {
        environment: this.environment,
        web,
        clock: this.plane.clock,
        nonce: () => `nonce-${this.#nonces++}`,
      },
    });
  }

  /** As `run`, of what must succeed; its JSON. */
  async json<T>(line: string | readonly string[], given: Parameters<PlayedShell['run']>[1] = {}): Promise<T> {
    const words = typeof line === 'string' ? line.split(' ') : line;
    const { code, out, err } = await this.run([...words, '--json'], given);
    if (code !== 0) throw new Error(`${words.join(' ')}: exit ${code}\n${out}${err}`);
    return JSON.parse(out) as T;
  }
}

/** Answers of somebody at a terminal, in their order; secret ones too. */
export function typing(...answers: readonly string[]): Partial<Io> {
  const left = [...answers];
  const next = (): Promise<string> => Promise.resolve(left.shift() ?? '');
  return { ask: next, askSecret: next };
}

function webOf({ http }: ControlPlane): Web {
  const ask = (request: WebRequest, more: InjectOptions): Promise<LightMyRequestResponse> => {
    const { pathname, search } = new URL(request.url);
    const { method, headers, body } = request;
    return http.inject({
      method,
      url: `${pathname}${search}`,
      headers,
      ...(body === null ? {} : { payload: body }),
      ...more,
    });
  };
  const answerOf = ({ statusCode, headers, payload }: LightMyRequestResponse): WebAnswer => ({
    status: statusCode,
    headers: textHeaders(headers),
    text: payload,
  });
  return {
    send: async (request) => answerOf(await ask(request, {})),
    async open(request) {
      const response = await ask(request, { payloadAsStream: true, signal: request.signal });
      const { statusCode, headers } = response;
      return { status: statusCode, headers: textHeaders(headers), chunks: response.stream() as Readable };
    },
    postForm: () => Promise.reject(new Error('nothing asks for tokens here')),
  };
}

function textHeaders(headers: LightMyRequestResponse['headers']): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}
