/** Live events as server-sent events (WHATWG HTML 9.2), with a bound on what waits for a slow reader. */
import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { Clock } from '#util/clock.ts';
import type { LiveStream } from './live-hub.ts';

export const WAITING_BYTES_MAX = 1024 * 1024;

/** Proxies take a connection on which nothing happens for a dead one. */
const COMMENT_MS = 15_000;

/** `onClose`: the reader has gone, or was ended. */
export function openEventStream(
  reply: FastifyReply,
  { clock, onClose }: { readonly clock: Clock; readonly onClose: () => void },
): LiveStream {
  const body = new Readable({ read() {}, highWaterMark: WAITING_BYTES_MAX });
  let cancel = (): void => {};
  const comment = (): void => {
    cancel = clock.schedule(COMMENT_MS, () => {
      body.push(':\n\n');
      comment();
    });
  };
  comment();
  body.on('close', () => {
    cancel();
    onClose();
  });
  void reply.header('content-type', 'text/event-stream; charset=utf-8').header('x-accel-buffering', 'no').send(body);
  return {
    send(event) {
      if (body.readableLength > WAITING_BYTES_MAX) return false;
      body.push(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
      return true;
    },
    end: () => void body.push(null),
  };
}
