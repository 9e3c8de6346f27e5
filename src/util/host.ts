/**
 * The one importer of node:net, node:fs and timers in the product. Everything else is handed these as values,
 * so a test can put a simulated clock, network or disk in their place.
 */
import { lookup } from 'node:dns';
import { readFileSync, writeFileSync, appendFileSync, mkdirSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import type { Clock } from './clock.ts';
import type { ConnectOptions, Network, Socket } from './network.ts';
import type { Random } from './random.ts';

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

export const systemRandom: Random = { next: () => Math.random() };

export const systemNetwork: Network = {
  connect(options: ConnectOptions): Socket {
    let closeError: Error | null = null;
    const socket = connectTcp({
      host: options.host,
      port: options.port,
      lookup,
      noDelay: true,
      keepAlive: true,
      onread: {
        buffer: () => options.buffer(),
        callback(bytes) {
          options.onRead(bytes);
          return true;
        },
      },
    });
    socket.on('connect', () => options.onConnect());
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

/** Files as the command line needs them. */
export interface Disk {
  readText(path: string): string;
  writeText(path: string, text: string): void;
  appendText(path: string, text: string): void;
  makeDirectory(path: string): void;
}

export const systemDisk: Disk = {
  readText: (path) => readFileSync(path, 'utf8'),
  writeText: (path, text) => writeFileSync(path, text),
  appendText: (path, text) => appendFileSync(path, text),
  makeDirectory: (path) => void mkdirSync(path, { recursive: true }),
};
