/** What is no request: it never gets as far as a route, and is answered on the socket, as everything else is refused. */
import { STATUS_CODES } from 'node:http';
import { AppError } from '#contract/errors.ts';
import type { Entropy } from '../ports.ts';
import { securityHeaders } from './headers.ts';
import { refusalOf } from './problem.ts';

/** What is used of a socket. */
export interface RawSocket {
  readonly destroyed: boolean;
  readonly writable: boolean;
  end(text: string): void;
  destroy(): void;
}

/** For Node's `clientError`. */
export function refuseUnreadable(code: string | undefined, socket: RawSocket, entropy: Entropy): void {
  if (code === 'ECONNRESET' || socket.destroyed) return;
  if (!socket.writable) return socket.destroy();
  const { status, problem } = refusalOf(errorOf(code), requestId(entropy));
  const body = JSON.stringify(problem);
  const headers = {
    ...securityHeaders,
    'content-type': 'application/problem+json',
    'content-length': String(Buffer.byteLength(body)),
    'x-request-id': problem.requestId,
    connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  socket.end([`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`, ...lines, '', body].join('\r\n'));
}

export function requestId(entropy: Entropy): string {
  return Buffer.from(entropy.bytes(12)).toString('hex');
}

function errorOf(code: string | undefined): AppError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new AppError('REQUEST_HEAD_TOO_LARGE', 'The address and the headers of a request are too long together.', {
        nextStep: 'Ask for less at a time.',
      });
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new AppError('REQUEST_TIMED_OUT', 'The request did not arrive in time.', { nextStep: 'Send it again.' });
    default:
      return new AppError('REQUEST_INVALID', 'This is no HTTP request.', { nextStep: 'Speak HTTP/1.1.' });
  }
}
