/** The system's network with a journal: every Fetch and Produce request and response of every connection, with its time. */
import { systemNetwork } from '#util/host.ts';
import type { ConnectOptions, Network, Socket } from '#util/network.ts';

const KEPT_BYTES = 4096;

export interface JournalEntry {
  readonly kind: 'request' | 'response';
  readonly api: 'Produce' | 'Fetch' | 'other';
  readonly atMs: number;
  readonly bytes: number;
  /** What the broker asked for in a response of Fetch or Produce. */
  readonly throttleTimeMs: number;
}

export interface ConnectionJournal {
  readonly port: number;
  readonly entries: JournalEntry[];
}

/**
 * `onBytes` is called after each read and write: a moment to look at what is in flight. Each response is a read of its own, as
 * if it had come alone: the reader's requests stand in the journal behind what it has heard of, and before what it has not.
 */
export class RecordingNetwork implements Network {
  readonly connections: ConnectionJournal[] = [];
  onBytes = (): void => {};

  connect(options: ConnectOptions): Socket {
    const journal: ConnectionJournal = { port: options.port, entries: [] };
    this.connections.push(journal);
    const inFlight: JournalEntry['api'][] = [];
    const requests = new FrameSplitter((head, bytes) => {
      const api = apiOf(head.readInt16BE(4));
      inFlight.push(api);
      journal.entries.push({ kind: 'request', api, atMs: performance.now(), bytes, throttleTimeMs: 0 });
    });
    const responses = new FrameSplitter((head, bytes) => {
      const api = inFlight.shift() ?? 'other';
      journal.entries.push({
        kind: 'response',
        api,
        atMs: performance.now(),
        bytes,
        throttleTimeMs: throttleOf(api, head, bytes),
      });
    });
    let buffer: Uint8Array = new Uint8Array();
    const socket = systemNetwork.connect({
      ...options,
      buffer: () => (buffer = options.buffer()),
      onRead: (bytes) => {
        const first = responses.take(buffer.subarray(0, bytes));
        const rest = Buffer.from(buffer.subarray(first, bytes)); // the reader uses the buffer for something else
        options.onRead(first);
        this.onBytes();
        for (let at = 0; at < rest.length;) {
          const next = options.buffer();
          const copied = rest.copy(next, 0, at);
          const taken = responses.take(next.subarray(0, copied));
          options.onRead(taken);
          this.onBytes();
          at += taken;
        }
      },
    });
    return {
      ...socket,
      write: (chunks) => {
        for (const chunk of chunks) for (let at = 0; at < chunk.length;) at += requests.take(chunk.subarray(at));
        this.onBytes();
        return socket.write(chunks);
      },
    };
  }
}

/** Cuts a stream into frames and keeps the first bytes of each. */
class FrameSplitter {
  readonly #onFrame: (head: Buffer, bytes: number) => void;
  #head = Buffer.alloc(0);
  #seen = 0;
  #bytes = Infinity;

  constructor(onFrame: (head: Buffer, bytes: number) => void) {
    this.#onFrame = onFrame;
  }

  /** Takes bytes up to the end of a frame, and returns how many. */
  take(chunk: Uint8Array): number {
    let taken = 0;
    while (taken < chunk.length) {
      const known = this.#bytes === Infinity ? 4 : this.#bytes;
      const part = chunk.subarray(taken, taken + known - this.#seen);
      if (this.#seen < KEPT_BYTES) this.#head = Buffer.concat([this.#head, part]).subarray(0, KEPT_BYTES);
      this.#seen += part.length;
      taken += part.length;
      if (this.#bytes === Infinity && this.#seen === 4) this.#bytes = 4 + this.#head.readInt32BE(0);
      if (this.#seen < this.#bytes) continue;
      this.#onFrame(this.#head, this.#bytes);
      this.#head = Buffer.alloc(0);
      this.#seen = 0;
      this.#bytes = Infinity;
      break;
    }
    return taken;
  }
}

function apiOf(key: number): JournalEntry['api'] {
  if (key === 0) return 'Produce';
  return key === 1 ? 'Fetch' : 'other';
}

/** Behind the header of a Fetch response; at the end of a Produce response, before no tagged fields. */
function throttleOf(api: JournalEntry['api'], head: Buffer, bytes: number): number {
  if (api === 'Fetch') return head.readInt32BE(9);
  return api === 'Produce' && bytes <= KEPT_BYTES ? head.readInt32BE(bytes - 5) : 0;
}
