/** Live events over a WebSocket: one text frame each. What the peer sends is not looked at. */
import type { SocketLike } from '../http/server.ts';
import { WAITING_BYTES_MAX } from './event-stream.ts';
import type { LiveStream } from './live-hub.ts';

const GOING_AWAY = 1001;

export function openSocketStream(socket: SocketLike, onClose: () => void): LiveStream {
  socket.on('close', onClose);
  socket.on('error', onClose); // `close` follows; without a listener the error would end the process
  return {
    send(event) {
      if (socket.bufferedAmount > WAITING_BYTES_MAX) return false;
      socket.send(JSON.stringify(event));
      return true;
    },
    end: () => socket.close(GOING_AWAY, 'the stream ended; open a new one'),
  };
}
